/**
 * Spans of requests, with the attribute names of OpenTelemetry's conventions for Cassandra. Values are never recorded.
 */
import type { types } from "cassandra-driver"
import * as Effect from "effect/Effect"
import type { Consistency } from "../CassandraConfig.ts"
import type { CassandraError } from "../CassandraError.ts"

/**
 * What can be told from a statement's text at a glance.
 *
 * @internal
 */
export interface Summary {
  /** First keyword, upper case. */
  readonly verb: string
  /** The table as written, null if none was found. */
  readonly table: string | null
  readonly conditional: boolean
}

/** Texts are few, so this stays small; a program that varies them must not make it grow without end. */
const summaries = new Map<string, Summary>()
const maxSummaries = 1000

/** @internal */
export const summarize = (cql: string): Summary => {
  const known = summaries.get(cql)
  if (known !== undefined) return known
  const table =
    /\b(?:FROM|INTO|UPDATE|TABLE|TRUNCATE)\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?((?:"[^"]+"|\w+)(?:\.(?:"[^"]+"|\w+))?)/i
      .exec(cql)
  const summary = {
    verb: (/^\s*(\w+)/.exec(cql)?.[1] ?? "").toUpperCase(),
    table: table === null ? null : table[1]!,
    conditional: /\bIF\b/i.test(cql)
  }
  if (summaries.size >= maxSummaries) summaries.clear()
  summaries.set(cql, summary)
  return summary
}

/**
 * The attributes that every span of a session has.
 *
 * @internal
 */
export interface SpanContext {
  readonly attributes: Record<string, unknown>
  readonly consistency: Consistency
}

/** @internal */
export const makeSpanContext = (options: {
  readonly keyspace: string | null
  readonly endpoint: { readonly host: string; readonly port: number } | undefined
  readonly consistency: Consistency
  readonly attributes: Record<string, unknown> | undefined
}): SpanContext => {
  const attributes: Record<string, unknown> = { "db.system.name": "cassandra" }
  if (options.keyspace !== null) attributes["db.namespace"] = options.keyspace
  if (options.endpoint !== undefined) {
    attributes["server.address"] = options.endpoint.host
    attributes["server.port"] = options.endpoint.port
  }
  return { attributes: { ...attributes, ...options.attributes }, consistency: options.consistency }
}

/** @internal */
export interface RequestInfo {
  /** Statement texts, one for each statement of the request. */
  readonly statements: ReadonlyArray<{ readonly cql: string }>
  /** Whether values travel apart from the text. Other texts have their string literals masked. */
  readonly prepared: boolean
  readonly batch: boolean
  /** Overrides the verb: PREPARE. */
  readonly verb?: string | undefined
  readonly consistency?: Consistency | undefined
  readonly pageSize?: number | undefined
  readonly idempotent: boolean
}

const maxText = 4096

const requestAttributes = (
  context: SpanContext,
  info: RequestInfo
): { name: string; attributes: Record<string, unknown> } => {
  const texts = new Set<string>()
  const verbs = new Set<string>()
  const tables = new Set<string | null>()
  for (const { cql } of info.statements) {
    if (texts.has(cql)) continue
    texts.add(cql)
    const { table, verb } = summarize(cql)
    verbs.add(verb)
    tables.add(table)
  }
  const verb = info.verb ?? (info.batch ? verbs.size === 1 ? `BATCH ${[...verbs][0]}` : "BATCH" : [...verbs][0] ?? "")
  const table = tables.size === 1 ? [...tables][0] : null
  const text = [...texts].join("; ").slice(0, maxText)
  const attributes: Record<string, unknown> = {
    ...context.attributes,
    "db.operation.name": verb,
    "db.query.text": info.prepared ? text : text.replace(/'(?:[^']|'')*'/g, "?"),
    "cassandra.consistency.level": (info.consistency ?? context.consistency).toLowerCase(),
    "cassandra.query.idempotent": info.idempotent
  }
  const name = table === null ? verb : `${verb} ${table}`
  if (table !== null) attributes["db.collection.name"] = table
  attributes["db.query.summary"] = name
  if (info.batch && info.statements.length !== 1) attributes["db.operation.batch.size"] = info.statements.length
  if (info.pageSize !== undefined) attributes["cassandra.page.size"] = info.pageSize
  return { name, attributes }
}

/**
 * Puts a request into a span of kind client.
 *
 * @internal
 */
export const withRequestSpan = <A extends types.ResultSet | object>(
  context: SpanContext,
  info: RequestInfo,
  request: Effect.Effect<A, CassandraError>
): Effect.Effect<A, CassandraError> =>
  Effect.suspend(() => {
    const { attributes, name } = requestAttributes(context, info)
    return Effect.useSpan(name, { kind: "client", attributes }, (span) =>
      request.pipe(
        Effect.tap((result) =>
          Effect.sync(() => {
            if (!("info" in result)) return
            const colon = result.info.queriedHost.lastIndexOf(":")
            span.attribute("network.peer.address", result.info.queriedHost.slice(0, colon))
            span.attribute("network.peer.port", Number(result.info.queriedHost.slice(colon + 1)))
            span.attribute("db.response.returned_rows", result.rows?.length ?? 0)
          })
        ),
        Effect.tapError((error) =>
          Effect.sync(() => {
            span.attribute("error.type", error.reason._tag)
            const cause = error.reason.cause as { readonly code?: unknown } | undefined
            if (typeof cause?.code === "number") span.attribute("db.response.status_code", String(cause.code))
          })
        )
      ))
  })
