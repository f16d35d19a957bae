/**
 * The replicas of a simulated cluster: plain writes and reads at a consistency level, and conditional writes in one order.
 */
import type { Consistency } from "../../cassandra/CassandraConfig.ts"
import type { Row } from "../../cassandra/CassandraSession.ts"
import { consistencyCodes } from "../../cassandra/internal/driverClient.ts"
import type { Chance, Landing } from "./simulatedFault.ts"
import { codes, invalid, Refusal, unsupported } from "./simulatedRefusal.ts"
import { copies, Schema, type Table } from "./simulatedSchema.ts"
import { compareClustering, decodeColumn, holds } from "./simulatedSelect.ts"
import { keyText, type LiveRow, liveRow, makePartition, mergeInto, type Partition } from "./simulatedStorage.ts"
import { comparatorOf } from "./simulatedType.ts"
import { addWrite, keyOf, type Value, valueOf, type WritePlan, type WriteTime } from "./simulatedWrite.ts"

/** @internal */
export interface BoundWrite {
  readonly plan: WritePlan
  readonly values: ReadonlyArray<Value>
}

/**
 * All changes of a request to one partition: each replica takes them as one.
 *
 * @internal
 */
export interface Mutation {
  readonly table: Table
  readonly text: string
  readonly update: Partition
}

/** Agreed on, or nearly: what a serial operation has to deal with before its own. */
interface Proposal {
  readonly mutation: Mutation
  readonly isDecided: boolean
}

/** @internal */
export interface ConditionalResult {
  readonly applied: boolean
  readonly rows: ReadonlyArray<Row>
}

/** @internal */
export class Data {
  readonly schema = new Schema()
  readonly replicas: ReadonlyArray<Map<Table, Map<string, Partition>>>
  private readonly chance: Chance
  private readonly readRepair: boolean
  private readonly proposals = new Map<Table, Map<string, Array<Proposal>>>()
  private lastMicros = -1n

  constructor(replicas: number, chance: Chance, readRepair: boolean) {
    this.replicas = Array.from({ length: replicas }, () => new Map<Table, Map<string, Partition>>())
    this.chance = chance
    this.readRepair = readRepair
  }

  /** The microsecond it is, or the next that nobody was given: all clocks are one, so what comes later is newer. */
  stamp(nowMillis: number): bigint {
    // a clock may tell fractions of a millisecond
    const micros = BigInt(Math.floor(nowMillis * 1000))
    this.lastMicros = micros > this.lastMicros ? micros : this.lastMicros + 1n
    return this.lastMicros
  }

  /** The replicas that have the table's rows: as many as its keyspace wants, if there are so many nodes. */
  holders(table: Table): Array<number> {
    const keyspace = this.schema.keyspaces.get(table.keyspace)
    const count = Math.min(this.replicas.length, keyspace === undefined ? 1 : copies(keyspace))
    return Array.from({ length: count }, (_, index) => index)
  }

  /** How many replicas must answer. Throws `Unavailable` if there are not so many. */
  required(table: Table, consistency: Consistency): number {
    const keyspace = this.schema.keyspaces.get(table.keyspace)
    const factor = keyspace === undefined ? 1 : copies(keyspace)
    const required = consistency === "ALL"
      ? factor
      : consistency === "TWO"
      ? 2
      : consistency === "THREE"
      ? 3
      : consistency === "ONE" || consistency === "LOCAL_ONE" || consistency === "ANY"
      ? 1
      : (factor >> 1) + 1
    const alive = Math.min(factor, this.replicas.length)
    if (required > alive) throw unavailable(consistency, required, alive)
    return required
  }

  /** What the statements do, partition by partition. Throws whatever the server would say about their values. */
  mutations(statements: ReadonlyArray<BoundWrite>, time: WriteTime): ReadonlyArray<Mutation> {
    const byTable = new Map<Table, Map<string, Mutation>>()
    const all: Array<Mutation> = []
    for (const { plan, values } of statements) {
      const { table } = plan
      const key = keyOf(table.partitionKey, plan.keys, values)
      const text = keyText(key)
      let byKey = byTable.get(table)
      if (byKey === undefined) {
        byKey = new Map()
        byTable.set(table, byKey)
      }
      let mutation = byKey.get(text)
      if (mutation === undefined) {
        mutation = { table, text, update: makePartition(key) }
        byKey.set(text, mutation)
        all.push(mutation)
      }
      addWrite(mutation.update, plan, values, time)
    }
    return all
  }

  apply({ table, text, update }: Mutation, replicas: ReadonlyArray<number>): void {
    for (const index of replicas) {
      const replica = this.replicas[index]!
      let partitions = replica.get(table)
      if (partitions === undefined) {
        partitions = new Map()
        replica.set(table, partitions)
      }
      let partition = partitions.get(text)
      if (partition === undefined) {
        partition = makePartition(update.key)
        partitions.set(text, partition)
      }
      mergeInto(partition, update)
    }
  }

  /** Applies to the replicas that the landing says. */
  land(mutations: ReadonlyArray<Mutation>, landing: Exclude<Landing, "late">): void {
    if (landing === "none") return
    for (const mutation of mutations) {
      const holders = this.holders(mutation.table)
      if (landing === "all") this.apply(mutation, holders)
      else if (landing === "some") {
        this.apply(mutation, this.chance.shuffle(holders).slice(0, this.chance.below(holders.length + 1)))
      } else this.apply(mutation, holders.filter((index) => landing.includes(index)))
    }
  }

  /** One partition, or all of them (`key` null), as so many replicas together know it. */
  read(table: Table, key: ReadonlyArray<Buffer> | null, required: number): ReadonlyArray<Partition> {
    const system = this.schema.systemPartitions(table)
    if (system !== null) {
      if (key === null) return [...system.values()]
      const found = system.get(keyText(key))
      return found === undefined ? [] : [found]
    }
    const holders = this.holders(table)
    const asked = required >= holders.length ? holders : this.chance.shuffle(holders).slice(0, required)
    if (key !== null) {
      const found = this.merged(table, keyText(key), asked)
      return found === null ? [] : [found]
    }
    const texts = new Set(asked.flatMap((index) => [...this.replicas[index]!.get(table)?.keys() ?? []]))
    return [...texts].map((text) => this.merged(table, text, asked)!)
  }

  private merged(table: Table, text: string, asked: ReadonlyArray<number>): Partition | null {
    const versions: Array<Partition> = []
    for (const index of asked) {
      const version = this.replicas[index]!.get(table)?.get(text)
      if (version !== undefined) versions.push(version)
    }
    if (versions.length === 0) return null
    if (asked.length === 1) return versions[0]!
    const update = makePartition(versions[0]!.key)
    for (const version of versions) mergeInto(update, version)
    if (this.readRepair) this.apply({ table, text, update }, asked)
    return update
  }

  /** What was proposed before is completed, or is known never to be. */
  private settle(table: Table, text: string): void {
    const proposals = this.proposals.get(table)
    for (const { isDecided, mutation } of proposals?.get(text) ?? []) {
      if (isDecided || this.chance.next() < 0.5) this.apply(mutation, this.holders(table))
    }
    proposals?.delete(text)
  }

  private propose(proposal: Proposal): void {
    const { table, text } = proposal.mutation
    let byKey = this.proposals.get(table)
    if (byKey === undefined) {
      byKey = new Map()
      this.proposals.set(table, byKey)
    }
    byKey.set(text, [...byKey.get(text) ?? [], proposal])
  }

  serialRead(table: Table, key: ReadonlyArray<Buffer>): ReadonlyArray<Partition> {
    this.settle(table, keyText(key))
    return this.read(table, key, this.required(table, "SERIAL"))
  }

  /** All statements if every condition holds, else none. All are of one partition. */
  conditional(
    statements: ReadonlyArray<BoundWrite>,
    isBatch: boolean,
    nowMillis: number,
    landing: Exclude<Landing, "late">
  ): ConditionalResult {
    const { table } = statements[0]!.plan
    const nowSeconds = Math.floor(nowMillis / 1000)
    const key = keyOf(table.partitionKey, statements[0]!.plan.keys, statements[0]!.values)
    const required = this.required(table, "SERIAL")
    this.settle(table, keyText(key))
    const partition = this.read(table, key, required)[0] ?? makePartition(key)
    const current = (clustering: ReadonlyArray<Buffer>): LiveRow | null => {
      const stored = partition.rows.get(keyText(clustering))
      return stored === undefined ? null : liveRow(partition, stored, nowSeconds)
    }
    const conditions = statements.filter(({ plan }) => plan.condition !== null)
      .map((statement) => ({ statement, row: keyOf(table.clustering, statement.plan.keys, statement.values) }))
      .toSorted((a, b) => compareClustering(table, a.row, b.row))
    const applied = conditions.every(({ row, statement }) => isMet(statement, current(row)))
    if (!applied) return { applied, rows: refusedRows(statements, isBatch, partition, current) }
    const [mutation] = this.mutations(statements, { timestamp: this.stamp(nowMillis), nowSeconds })
    if (landing === "all") this.apply(mutation!, this.holders(table))
    else if (landing === "some") this.propose({ mutation: mutation!, isDecided: false })
    else if (landing !== "none") {
      this.land([mutation!], landing)
      this.propose({ mutation: mutation!, isDecided: true })
    }
    return { applied, rows: [{ "[applied]": true }] }
  }

  forget(table: Table): void {
    for (const replica of this.replicas) replica.delete(table)
    this.proposals.delete(table)
  }
}

/** @internal */
export const unavailable = (consistency: Consistency, required: number, alive: number): Refusal =>
  new Refusal(codes.unavailable, `Cannot achieve consistency level ${consistency}`, {
    consistencies: consistencyCodes[consistency],
    required,
    alive
  })

/**
 * Throws unless these statements may stand in one conditional batch.
 *
 * @internal
 */
export const checkConditional = (statements: ReadonlyArray<BoundWrite>): void => {
  const { plan: first, values: firstValues } = statements[0]!
  const text = keyText(keyOf(first.table.partitionKey, first.keys, firstValues))
  const kinds = new Map<string, string>()
  for (const { plan, values } of statements) {
    if (plan.table !== first.table) invalid("Batch with conditions cannot span multiple tables")
    if (keyText(keyOf(plan.table.partitionKey, plan.keys, values)) !== text) {
      invalid("Batch with conditions cannot span multiple partitions")
    }
    const { condition } = plan
    if (condition === null) {
      if (plan.timestamp !== null) unsupported("USING TIMESTAMP in a conditional batch")
      continue
    }
    const row = keyText(keyOf(plan.table.clustering, plan.keys, values))
    const before = kinds.get(row)
    if (before !== undefined && before !== condition.kind) {
      // the server names IF NOT EXISTS, too, when a condition on columns follows IF EXISTS
      invalid(
        before !== "columns" && condition.kind !== "columns"
          ? "Cannot mix IF EXISTS and IF NOT EXISTS conditions for the same row"
          : `Cannot mix IF conditions and IF ${condition.kind === "exists" ? "EXISTS" : "NOT EXISTS"} for the same row`
      )
    }
    kinds.set(row, condition.kind)
    if (condition.kind !== "columns") continue
    for (const { term } of condition.tests) {
      if (valueOf(term, values) === undefined) invalid("Invalid 'unset' value in condition")
    }
  }
}

const isMet = ({ plan, values }: BoundWrite, row: LiveRow | null): boolean => {
  const condition = plan.condition!
  if (condition.kind === "notExists") return row === null
  if (condition.kind === "exists") return row !== null
  return condition.tests.every(({ column, operator, term }) => {
    const wanted = valueOf(term, values) ?? null
    const value = row?.cells.get(column.name)?.value ?? null
    if (wanted === null) {
      // the server finds this only when it comes to the comparison, after conditions on earlier rows
      if (operator !== "=" && operator !== "!=") invalid(`Invalid comparison with null for operator "${operator}"`)
      return operator === "=" ? value === null : value !== null
    }
    if (value === null) return operator === "!="
    const compare = comparatorOf(column.type) ??
      (operator === "=" || operator === "!=" ? Buffer.compare : unsupported(`the order of ${column.text} in IF`))
    return holds(compare(value, wanted), operator)
  })
}

const refusedRows = (
  statements: ReadonlyArray<BoundWrite>,
  isBatch: boolean,
  partition: Partition,
  current: (clustering: ReadonlyArray<Buffer>) => LiveRow | null
): ReadonlyArray<Row> => {
  const { table } = statements[0]!.plan
  const found = new Map<string, LiveRow>()
  const names = new Set<string>()
  if (isBatch) { for (const { name } of [...table.partitionKey, ...table.clustering]) names.add(name) }
  let isAll = false
  for (const { plan, values } of statements) {
    if (plan.condition === null) continue
    const clustering = keyOf(table.clustering, plan.keys, values)
    const row = current(clustering)
    if (row !== null) found.set(keyText(clustering), row)
    if (plan.condition.kind !== "columns") isAll = true
    else for (const { column } of plan.condition.tests) names.add(column.name)
  }
  if (found.size === 0) return [{ "[applied]": false }]
  const columns = isAll ? [...table.columns.values()] : [...names].map((name) => table.columns.get(name)!)
  return [...found.values()].toSorted((a, b) => compareClustering(table, a.clustering, b.clustering)).map((row) => {
    const values: Record<string, unknown> = { "[applied]": false }
    for (const column of columns) values[column.name] = decodeColumn(column, partition, row)
    return values
  })
}
