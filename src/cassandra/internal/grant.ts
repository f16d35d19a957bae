/**
 * What lets a role do what it was refused.
 */
import { identifier } from "../CqlIdentifier.ts"

const refusal = /^User (.+) has no ([A-Z_]+) permission on <(table|keyspace|all keyspaces|all tables in)(?: (.+?))?>/

/**
 * The GRANT that the server's words ask for; null where they are others.
 *
 * @internal
 */
export const grantOf = (text: string): string | null => {
  const [, role, permission, kind, name = ""] = refusal.exec(text) ?? []
  if (role === undefined) return null
  // The name of a table may have dots in it, that of a keyspace none.
  const [keyspace = "", ...table] = name.split(".")
  const resource = kind === "table"
    ? `TABLE ${identifier(keyspace)}.${identifier(table.join("."))}`
    : kind === "all keyspaces"
    ? "ALL KEYSPACES"
    : `KEYSPACE ${identifier(keyspace)}`
  return `GRANT ${permission} ON ${resource} TO ${identifier(role)}`
}
