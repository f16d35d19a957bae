/**
 * Cells, rows and partitions of one replica, and how two versions of them become one. After Cassandra's
 * `db/rows/Cells.java` (`resolveRegular`), `db/LivenessInfo.java` (`supersedes`) and `db/DeletionTime.java` (`deletes`).
 *
 * Merging is commutative, associative and idempotent: replicas may get the same writes in any order, any number of times.
 */

/**
 * A write timestamp, in microseconds. Exact as it is on the wire.
 *
 * @internal
 */
export type Timestamp = bigint

/**
 * `value` null is a tombstone. `expiresAt` (seconds) and `ttl` are 0 for a cell that stays.
 *
 * @internal
 */
export interface Cell {
  readonly timestamp: Timestamp
  readonly value: Buffer | null
  readonly ttl: number
  readonly expiresAt: number
}

/**
 * What an INSERT leaves besides its cells: the row is there even when all its columns are null.
 *
 * @internal
 */
export interface Marker {
  readonly timestamp: Timestamp
  readonly ttl: number
  readonly expiresAt: number
}

/**
 * A set or a map whose elements are cells of their own. `deletion` covers elements of its timestamp and older.
 *
 * @internal
 */
export interface Complex {
  deletion: Timestamp | null
  readonly cells: Map<string, { readonly path: Buffer; readonly cell: Cell }>
}

/** @internal */
export interface StoredRow {
  readonly clustering: ReadonlyArray<Buffer>
  marker: Marker | null
  readonly cells: Map<string, Cell>
  complex: Map<string, Complex> | null
}

/**
 * `deletions`: by prefix of the clustering key; the empty prefix is the whole partition, a full key one row.
 *
 * @internal
 */
export interface Partition {
  readonly key: ReadonlyArray<Buffer>
  readonly deletions: Map<string, Timestamp>
  readonly rows: Map<string, StoredRow>
}

/** @internal */
export const makePartition = (key: ReadonlyArray<Buffer>): Partition => ({
  key,
  deletions: new Map(),
  rows: new Map()
})

/** @internal */
export const makeRow = (clustering: ReadonlyArray<Buffer>): StoredRow => ({
  clustering,
  marker: null,
  cells: new Map(),
  complex: null
})

/**
 * A key, or the beginning of one, as text. That of a prefix is a prefix of that of the whole.
 *
 * @internal
 */
export const keyText = (parts: ReadonlyArray<Buffer>): string => {
  let text = ""
  for (let i = 0; i < parts.length; i++) text += `${parts[i]!.length}:${parts[i]!.toString("latin1")}`
  return text
}

const resolve = (a: Cell, b: Cell): Cell => {
  if (a.timestamp !== b.timestamp) return a.timestamp > b.timestamp ? a : b
  const [aDies, bDies] = [a.value === null || a.expiresAt > 0, b.value === null || b.expiresAt > 0]
  if (aDies !== bDies) return aDies ? a : b
  if (a.value === null || b.value === null) return a.value === null ? a : b
  if (aDies) {
    if (a.expiresAt !== b.expiresAt) return a.expiresAt > b.expiresAt ? a : b
    // the same end with a shorter life began later
    if (a.ttl !== b.ttl) return a.ttl < b.ttl ? a : b
  }
  return Buffer.compare(a.value, b.value) >= 0 ? a : b
}

const newer = (a: Marker, b: Marker): Marker => {
  if (a.timestamp !== b.timestamp) return a.timestamp > b.timestamp ? a : b
  if (a.expiresAt > 0 === b.expiresAt > 0) return a.expiresAt >= b.expiresAt ? a : b
  return a.expiresAt > 0 ? a : b
}

/** @internal */
export const addCell = (row: StoredRow, column: string, cell: Cell): void => {
  const existing = row.cells.get(column)
  row.cells.set(column, existing === undefined ? cell : resolve(existing, cell))
}

/** @internal */
export const addMarker = (row: StoredRow, marker: Marker): void => {
  row.marker = row.marker === null ? marker : newer(row.marker, marker)
}

/** @internal */
export const complexOf = (row: StoredRow, column: string): Complex => {
  row.complex ??= new Map()
  let complex = row.complex.get(column)
  if (complex === undefined) {
    complex = { deletion: null, cells: new Map() }
    row.complex.set(column, complex)
  }
  return complex
}

/** @internal */
export const addElement = (complex: Complex, path: Buffer, cell: Cell): void => {
  const key = path.toString("latin1")
  const existing = complex.cells.get(key)
  complex.cells.set(key, { path, cell: existing === undefined ? cell : resolve(existing.cell, cell) })
}

/** @internal */
export const deleteComplex = (complex: Complex, timestamp: Timestamp): void => {
  if (complex.deletion === null || complex.deletion < timestamp) complex.deletion = timestamp
}

/** @internal */
export const addDeletion = (partition: Partition, prefix: string, timestamp: Timestamp): void => {
  const existing = partition.deletions.get(prefix)
  if (existing === undefined || existing < timestamp) partition.deletions.set(prefix, timestamp)
}

/** @internal */
export const rowOf = (partition: Partition, clustering: ReadonlyArray<Buffer>): StoredRow => {
  const text = keyText(clustering)
  let row = partition.rows.get(text)
  if (row === undefined) {
    row = makeRow(clustering)
    partition.rows.set(text, row)
  }
  return row
}

/**
 * Adds everything of `update` to `target`.
 *
 * @internal
 */
export const mergeInto = (target: Partition, update: Partition): void => {
  for (const [prefix, timestamp] of update.deletions) addDeletion(target, prefix, timestamp)
  for (const [text, from] of update.rows) {
    let row = target.rows.get(text)
    if (row === undefined) {
      row = makeRow(from.clustering)
      target.rows.set(text, row)
    }
    if (from.marker !== null) addMarker(row, from.marker)
    for (const [column, cell] of from.cells) addCell(row, column, cell)
    if (from.complex === null) continue
    for (const [column, complex] of from.complex) {
      const own = complexOf(row, column)
      if (complex.deletion !== null) deleteComplex(own, complex.deletion)
      for (const { cell, path } of complex.cells.values()) addElement(own, path, cell)
    }
  }
}

/**
 * The timestamp up to which everything in the row is deleted, null if nothing is.
 *
 * @internal
 */
export const deletionOf = (partition: Partition, row: StoredRow): Timestamp | null => {
  if (partition.deletions.size === 0) return null
  let newest: Timestamp | null = null
  for (let depth = 0; depth <= row.clustering.length; depth++) {
    const timestamp = partition.deletions.get(keyText(row.clustering.slice(0, depth)))
    if (timestamp !== undefined && (newest === null || timestamp > newest)) newest = timestamp
  }
  return newest
}

const isLive = (cell: Cell, deletion: Timestamp | null, nowSeconds: number): boolean =>
  cell.value !== null && (deletion === null || cell.timestamp > deletion) &&
  (cell.expiresAt === 0 || cell.expiresAt > nowSeconds)

/**
 * A row as a reader sees it; null if it does not exist.
 *
 * @internal
 */
export interface LiveRow {
  readonly clustering: ReadonlyArray<Buffer>
  readonly cells: ReadonlyMap<string, Cell>
  /** Elements in no order. */
  readonly complex: ReadonlyMap<string, ReadonlyArray<{ readonly path: Buffer; readonly cell: Cell }>>
}

/** @internal */
export const liveRow = (partition: Partition, row: StoredRow, nowSeconds: number): LiveRow | null => {
  const deletion = deletionOf(partition, row)
  const cells = new Map<string, Cell>()
  const complex = new Map<string, ReadonlyArray<{ path: Buffer; cell: Cell }>>()
  for (const [column, cell] of row.cells) {
    if (isLive(cell, deletion, nowSeconds)) cells.set(column, cell)
  }
  if (row.complex !== null) {
    for (const [column, stored] of row.complex) {
      const covered = deletion === null || (stored.deletion !== null && stored.deletion > deletion)
        ? stored.deletion
        : deletion
      const elements = [...stored.cells.values()].filter(({ cell }) => isLive(cell, covered, nowSeconds))
      if (elements.length > 0) complex.set(column, elements)
    }
  }
  const { marker } = row
  const isMarked = marker !== null && (deletion === null || marker.timestamp > deletion) &&
    (marker.expiresAt === 0 || marker.expiresAt > nowSeconds)
  return isMarked || cells.size > 0 || complex.size > 0 ? { clustering: row.clustering, cells, complex } : null
}
