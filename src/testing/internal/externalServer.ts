import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { cqlProbe } from "./cqlProbe.ts"
import { type CassandraServerError, serverError } from "./serverError.ts"
import { type CassandraServerControls, type ServerSettings, startedDataCenter } from "./serverModel.ts"

const answerTimeoutMillis = 15_000
const pollMillis = 500

/** Adds the default port where none is given; an IPv6 address has its own in brackets. */
const withPort = (contactPoint: string): string => {
  if (contactPoint.startsWith("[")) return contactPoint.endsWith("]") ? `${contactPoint}:9042` : contactPoint
  return contactPoint.includes(":") ? contactPoint : `${contactPoint}:9042`
}

/** The cluster that the environment names, a sentence when it names none, an error when it does not answer. */
export const findExternal = Effect.fnUntraced(function*(
  { authentication, behindProxies, environment, nodes, tls }: ServerSettings
): Effect.fn.Return<Result.Result<CassandraServerControls, string>, CassandraServerError> {
  const contactPoints = (environment["CASSANDRA_CONTACT_POINTS"] ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "")
    .map(withPort)
  const [first] = contactPoints
  if (first === undefined) return Result.fail("CASSANDRA_CONTACT_POINTS is not set")
  if (behindProxies) return Result.fail("its nodes tell clients their own addresses")
  if (authentication || tls !== false) return Result.fail("who may come to it, and how, is not ours to choose")
  const localDataCenter = environment["CASSANDRA_LOCAL_DC"] || startedDataCenter
  const started = yield* Clock.currentTimeMillis
  // A cluster that was brought up for this run may need a moment.
  for (;;) {
    const answer = yield* Effect.result(cqlProbe({ contactPoints, localDataCenter }))
    if (Result.isSuccess(answer)) {
      if (answer.success >= nodes) break
      return Result.fail(`${contactPoints.join(",")} has ${answer.success} of ${nodes} nodes`)
    }
    if ((yield* Clock.currentTimeMillis) - started > answerTimeoutMillis) {
      return yield* serverError(
        "find",
        `The cluster of CASSANDRA_CONTACT_POINTS=${contactPoints.join(",")} (CASSANDRA_LOCAL_DC=${localDataCenter}) ` +
          `did not answer a query within ${answerTimeoutMillis / 1000} s: ${answer.failure}\n` +
          "Correct the variables, or unset CASSANDRA_CONTACT_POINTS to have a server started."
      )
    }
    yield* Effect.sleep(pollMillis)
  }
  const startMillis = (yield* Clock.currentTimeMillis) - started
  const refuse = (operation: "kill" | "stop" | "restart" | "pause" | "resume") =>
    Effect.fail(serverError(
      operation,
      `${contactPoints.join(",")} was named by CASSANDRA_CONTACT_POINTS and is not ours to control; ` +
        `a server of its own comes with { kinds: ["docker", "java"] }`
    ))
  const controls = {
    kill: refuse("kill"),
    stop: refuse("stop"),
    restart: refuse("restart"),
    pause: refuse("pause"),
    resume: refuse("resume"),
    log: Effect.succeed([])
  }
  return Result.succeed({
    ...controls,
    contactPoints,
    port: Number(first.slice(first.lastIndexOf(":") + 1)),
    localDataCenter,
    kind: "external",
    startMillis,
    session: { contactPoints, localDataCenter },
    nodes: contactPoints.map((contactPoint) => Object.assign({ contactPoint, advertised: contactPoint }, controls))
  })
})
