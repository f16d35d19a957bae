/**
 * Tables for people, on stdout.
 *
 * @since 0.1.0
 */
import { printable } from "./report.ts"

/**
 * Columns as wide as what is in them; those of numbers end at the same place.
 *
 * @category formatting
 * @since 0.1.0
 */
export const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const lines = [head, ...rows].map((row) => row.map((cell) => printable(cell).replaceAll("\n", " ")))
  const widths = head.map((_, i) => Math.max(...lines.map((row) => row[i]!.length)))
  const isNumber = head.map((_, i) => rows.length > 0 && rows.every((row) => /^(?:[\d,]+|-)$/.test(row[i]!)))
  return lines.map((row) =>
    row.map((cell, i) => isNumber[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)).join("  ").trimEnd()
  ).join("\n")
}
