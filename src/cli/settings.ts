/**
 * What the flags amount to.
 *
 * @since 0.1.0
 */
import * as CliError from "effect/cli/CliError"
import * as Prompt from "effect/cli/Prompt"
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as CassandraConfig from "../cassandra/CassandraConfig.ts"
import * as RestartStrategy from "../checkpoint/RestartStrategy.ts"
import type { DeadLetterFileOptions } from "../sink/DeadLetterFile.ts"
import { maxErrorsDefault } from "../sink/DeadLetters.ts"
import * as Mapping from "./Mapping.ts"
import type { InputOptions, LoadOptions, TlsOptions, VerifyOptions } from "./options.ts"
import type { Target } from "./statement.ts"

const usage = (message: string) => new CliError.ValidationError({ message })

/**
 * The state directory: one for each job and uid, unless it is given.
 *
 * @category combinators
 * @since 0.1.0
 */
export const stateDirectory = ({ job, state, uid }: Pick<LoadOptions, "job" | "state" | "uid">): string =>
  state ?? `.effect-cassandra/${job}-${uid.replace(/[^\w.-]+/g, "_")}`

/**
 * Where bad records are set aside, unless a file is given: beside the state directory.
 *
 * @category combinators
 * @since 0.1.0
 */
export const deadLettersFile = (options: Pick<LoadOptions, "job" | "state" | "uid">): string =>
  `${stateDirectory(options)}.dead-letters.ndjson`

/**
 * What becomes of bad records: they end the load (null), or are set aside in a file.
 *
 * @category combinators
 * @since 0.1.0
 */
export const setAside = (
  options: LoadOptions
): Effect.Effect<DeadLetterFileOptions | null, CliError.CliError> => {
  const { deadLetters, files, maxErrors, onBadRecord, replay } = options
  const isReplay = replay !== undefined
  const isOn = onBadRecord === undefined ? isReplay || (maxErrors ?? 0) !== 0 : onBadRecord === "dead-letter"
  if (!isOn) {
    return maxErrors !== undefined && maxErrors !== 0
      ? Effect.fail(
        usage("--on-bad-record fail ends at the first bad record, and --max-errors bears some: leave one out")
      )
      : deadLetters !== undefined
      ? Effect.fail(usage("--dead-letters is where bad records are set aside: add --on-bad-record dead-letter"))
      : Effect.succeed(null)
  }
  if (maxErrors === 0) {
    return Effect.fail(
      usage("--max-errors 0 bears no bad record, and --on-bad-record dead-letter sets them aside: leave one out")
    )
  }
  const path = deadLetters ?? deadLettersFile(options)
  if (files.some((file) => Path.resolve(file) === Path.resolve(path))) {
    return Effect.fail(
      usage(`The dead letters can't be written to ${path}, which is read: give another --dead-letters`)
    )
  }
  return Effect.succeed({ path, maxErrors: maxErrors ?? (isReplay ? Number.POSITIVE_INFINITY : maxErrorsDefault) })
}

/**
 * @category models
 * @since 0.1.0
 */
export type Format =
  | { readonly kind: "ndjson" }
  | { readonly kind: "csv"; readonly delimiter: string; readonly header: boolean }

/**
 * What is written with: a statement or a table, and only one of them.
 *
 * @category combinators
 * @since 0.1.0
 */
export const target = (
  { keyspace, mapping, query, table }: Pick<VerifyOptions, "keyspace" | "mapping" | "query" | "table">
): Effect.Effect<Target, CliError.CliError> => {
  if (query !== undefined) {
    return table !== undefined
      ? Effect.fail(usage("--table makes the INSERT and --query brings one: leave one of them out"))
      : mapping !== undefined
      ? Effect.fail(usage("--mapping is for --table: in --query, name each marker by its field, as in VALUES (:field)"))
      : query.includes("")
      ? Effect.fail(usage("--query is empty: give an INSERT, UPDATE or DELETE, or leave it out for --table"))
      : Effect.succeed({ kind: "query", queries: query })
  }
  if (table === undefined) {
    return Effect.fail(usage("Give --table (and --keyspace) to load into a table, or --query for a statement"))
  }
  const parsed = mapping === undefined ? Result.succeed(Mapping.everything) : Mapping.parse(mapping)
  if (Result.isFailure(parsed)) return Effect.fail(usage(parsed.failure.message))
  const [, ofTable, name] = /^(?:("(?:[^"]|"")+"|[^".]+)\.)?("(?:[^"]|"")+"|[^".]+)$/.exec(table)!
  const plain = (text: string) => text.startsWith("\"") ? text.slice(1, -1).replaceAll("\"\"", "\"") : text
  return Effect.succeed({
    kind: "table",
    keyspace: ofTable === undefined ? keyspace ?? null : plain(ofTable),
    table: plain(name!),
    mapping: parsed.success
  })
}

/**
 * How the files are read; a delimiter for files that have none is a mistake.
 *
 * @category combinators
 * @since 0.1.0
 */
export const format = (
  { delimiter, format: chosen, header }: InputOptions,
  files: ReadonlyArray<string>
): Effect.Effect<Format, CliError.CliError> => {
  const extensions = files.map((file) => /\.(csv|tsv)(?:\.\w+)?$/i.exec(file)?.[1]?.toLowerCase())
  const extension = extensions[0]
  const other = extensions.findIndex((one) => one !== extension)
  if (other >= 0 && chosen === undefined) {
    return Effect.fail(usage(`${files[0]} and ${files[other]} are of different formats by their names: give --format`))
  }
  if ((chosen ?? (extension === undefined ? "ndjson" : "csv")) === "csv") {
    return Effect.succeed({ kind: "csv", delimiter: delimiter ?? (extension === "tsv" ? "\t" : ","), header })
  }
  if (!header) {
    return Effect.fail(usage("--no-header is for CSV, and NDJSON has none: add --format csv, or leave it out"))
  }
  return delimiter === undefined
    ? Effect.succeed({ kind: "ndjson" })
    : Effect.fail(usage("--delimiter is for CSV, and NDJSON has none: add --format csv, or leave it out"))
}

/**
 * The restart strategy. A number that the strategy does not have is a mistake, not ignored.
 *
 * @category combinators
 * @since 0.1.0
 */
export const restartStrategy = (
  options: LoadOptions
): Effect.Effect<RestartStrategy.RestartStrategy, CliError.CliError> => {
  const numbers = {
    "restart-attempts": options.restartAttempts,
    "restart-delay": options.restartDelay,
    "restart-initial-backoff": options.restartInitialBackoff,
    "restart-max-backoff": options.restartMaxBackoff,
    "restart-multiplier": options.restartMultiplier,
    "restart-reset-after": options.restartResetAfter,
    "restart-jitter": options.restartJitter,
    "restart-max-failures": options.restartMaxFailures,
    "restart-interval": options.restartInterval
  }
  const known: { readonly [kind: string]: ReadonlyArray<string> } = {
    none: [],
    "fixed-delay": ["restart-attempts", "restart-delay"],
    exponential: Object.keys(numbers).filter((name) => !/delay|max-failures|interval/.test(name)),
    "failure-rate": ["restart-max-failures", "restart-interval", "restart-delay"]
  }
  const strange = Object.entries(numbers)
    .filter(([name, value]) => value !== undefined && !known[options.restart]!.includes(name))
    .map(([name]) => `--${name}`)
  if (strange.length > 0) {
    return Effect.fail(usage(`--restart ${options.restart} does not have ${strange.join(", ")}`))
  }
  const config: RestartStrategy.RestartStrategyConfig = options.restart === "exponential"
    ? {
      kind: "exponential",
      attemptsBeforeReset: options.restartAttempts,
      initialBackoff: options.restartInitialBackoff,
      maxBackoff: options.restartMaxBackoff,
      backoffMultiplier: options.restartMultiplier,
      resetBackoffThreshold: options.restartResetAfter,
      jitterFactor: options.restartJitter
    }
    : options.restart === "fixed-delay"
    ? { kind: "fixed-delay", attempts: options.restartAttempts, delay: options.restartDelay }
    : options.restart === "failure-rate"
    ? {
      kind: "failure-rate",
      maxFailures: options.restartMaxFailures,
      interval: options.restartInterval,
      delay: options.restartDelay
    }
    : { kind: "none" }
  return Effect.try({
    try: () => RestartStrategy.fromConfig(config),
    catch: (error) => usage(error instanceof Error ? error.message : String(error))
  })
}

/**
 * The flags over what `CassandraConfig` finds in the environment. A password is asked for where somebody can answer.
 *
 * @category combinators
 * @since 0.1.0
 */
export const session = Effect.fnUntraced(function*(
  options:
    & Pick<VerifyOptions, "contactPoints" | "port" | "localDc" | "keyspace" | "consistency" | "username">
    & TlsOptions
): Effect.fn.Return<CassandraConfig.CassandraSessionOptions, CliError.CliError, Prompt.Environment> {
  const base = yield* Effect.mapError(CassandraConfig.config, (error) => usage(describeConfigError(error)))
  const username = options.username ?? base.username
  return {
    ...base,
    contactPoints: options.contactPoints ?? base.contactPoints,
    port: options.port ?? base.port,
    localDataCenter: options.localDc ?? base.localDataCenter,
    keyspace: options.keyspace ?? base.keyspace,
    consistency: options.consistency ?? base.consistency,
    username,
    tls: yield* tls(options, base.tls),
    password: username === undefined ? undefined : yield* password(username, base.password)
  }
})

/**
 * What reaches the cluster of the ledger, where it has one of its own.
 *
 * @category combinators
 * @since 0.1.0
 */
export const checkpointSession = (
  options: Pick<LoadOptions, "checkpointContactPoints" | "checkpointLocalDc">,
  data: CassandraConfig.CassandraSessionOptions
): CassandraConfig.CassandraSessionOptions => ({
  ...data,
  contactPoints: options.checkpointContactPoints,
  localDataCenter: options.checkpointLocalDc,
  keyspace: undefined
})

/** `SchemaError(Expected ..., got "x"\n  at ["CASSANDRA_TLS"])` in one line that names the variable first. */
const describeConfigError = ({ message }: Config.ConfigError): string => {
  const [, what, name] = /^(?:SchemaError\()?([^]*?)\s+at \["(\w+)"\]\)?$/.exec(message) ?? []
  return name === undefined ? message : `The variable ${name} can't be used: ${what!.replace(/\s+/g, " ")}`
}

const fileOf = (flag: string, path: string): Effect.Effect<Buffer, CliError.CliError> =>
  Effect.mapError(
    Effect.tryPromise(() => Fs.promises.readFile(path)),
    ({ cause }) =>
      usage(
        `The file ${path} of --${flag} can't be read (${
          (cause as NodeJS.ErrnoException).code ?? String(cause)
        }): correct it`
      )
  )

/** Each of the flags over what the environment has; undefined without TLS. */
const tls = Effect.fnUntraced(function*(
  { tls: wanted, tlsCa, tlsCert, tlsKey, tlsServername }: TlsOptions,
  base: CassandraConfig.TlsOptions | undefined
): Effect.fn.Return<CassandraConfig.TlsOptions | undefined, CliError.CliError> {
  if (!wanted && [tlsCa, tlsCert, tlsKey, tlsServername].every((given) => given === undefined)) return base
  const packed = tlsCert !== undefined && /\.(?:p12|pfx)$/i.test(tlsCert)
  if (packed && tlsKey !== undefined) return yield* usage(`--tls-key is not needed: the key is in ${tlsCert}`)
  if (!packed && (tlsCert === undefined) !== (tlsKey === undefined)) {
    return yield* usage("--tls-cert and --tls-key go together: give both or none")
  }
  return {
    ...base,
    ...tlsCa === undefined ? {} : { ca: yield* fileOf("tls-ca", tlsCa) },
    ...tlsCert === undefined
      ? {}
      : packed
      ? { pfx: Redacted.make(yield* fileOf("tls-cert", tlsCert)) }
      : { cert: yield* fileOf("tls-cert", tlsCert), key: Redacted.make(yield* fileOf("tls-key", tlsKey!)) },
    ...tlsServername === undefined ? {} : { servername: tlsServername }
  }
})

const password = Effect.fnUntraced(function*(
  username: string,
  fromBase: Redacted.Redacted | undefined
): Effect.fn.Return<Redacted.Redacted, CliError.CliError, Prompt.Environment> {
  const own = yield* Effect.orElseSucceed(Config.option(Config.Redacted("EFFECT_CASSANDRA_PASSWORD")), Option.none)
  if (Option.isSome(own)) return own.value
  if (fromBase !== undefined) return fromBase
  const missing = usage(`The user ${username} needs a password: set EFFECT_CASSANDRA_PASSWORD or CASSANDRA_PASSWORD`)
  const { canPrompt } = yield* TerminalCapabilities.TerminalCapabilities
  if (!canPrompt) return yield* missing
  return yield* Effect.mapError(Prompt.run(Prompt.Password({ message: `Password of ${username}` })), () => missing)
})
