/**
 * Certificates for one test server: an authority of its own, a certificate of the server and, if wanted, one of a client,
 * all made with the `keytool` that comes with every Java (from 17 on it signs), and worth nothing after a month.
 */
import * as Effect from "effect/Effect"
import { randomBytes } from "node:crypto"
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { isIP } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { type Environment, lastLine, run } from "./command.ts"
import { startWatchdog } from "./watchdog.ts"

export interface TlsMaterial {
  /** The authority's certificate, PEM. */
  readonly ca: string
  /** PKCS#12 stores, all with the same password. The last two are null unless clients need a certificate. */
  readonly server: Buffer
  readonly trusted: Buffer | null
  readonly client: Buffer | null
  readonly password: string
}

const keytoolTimeoutMillis = 60_000
const validity = ["-validity", "30"]
/** A short-lived program is not worth the better compiler: this saves a quarter. */
const quick = ["-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC"]
const key = ["-keyalg", "EC", "-groupname", "secp256r1"]

/** For a server at `addresses`, which is also `localhost`. Fails with a sentence. */
export const makeTlsMaterial = (
  java: string,
  addresses: ReadonlyArray<string>,
  withClient: boolean,
  environment: Environment
): Effect.Effect<TlsMaterial, string> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const directory = mkdtempSync(join(tmpdir(), "effect-cassandra-tls-"))
      return { directory, watchdog: startWatchdog({ directory }) }
    }),
    ({ directory }) => makeIn(directory, join(dirname(java), "keytool"), addresses, withClient, environment),
    ({ directory, watchdog }) =>
      Effect.andThen(
        Effect.sync(() => rmSync(directory, { recursive: true, force: true, maxRetries: 3 })),
        watchdog.done
      )
  )

const makeIn = Effect.fnUntraced(function*(
  directory: string,
  command: string,
  addresses: ReadonlyArray<string>,
  withClient: boolean,
  environment: Environment
): Effect.fn.Return<TlsMaterial, string> {
  const password = randomBytes(16).toString("hex")
  const keytool = Effect.fnUntraced(function*(store: string, ...args: ReadonlyArray<string>) {
    const options = { environment, directory, timeoutMillis: keytoolTimeoutMillis }
    const finished = yield* run(
      command,
      [...quick, ...args, "-keystore", store, "-storetype", "PKCS12", "-storepass", password],
      options
    )
    if (finished.code !== 0) return yield* Effect.fail(`${command} ${args[0]}: ${lastLine(finished)}`)
    return finished.stdout
  })
  const authority = ["-alias", "authority"]
  yield* keytool(
    "authority",
    "-genkeypair",
    ...authority,
    ...key,
    ...validity,
    "-dname",
    "CN=effect-cassandra test authority",
    "-ext",
    "bc:critical=ca:true"
  )
  // A certificate is signed within the authority's store; what the other side gets must not hold the authority's key.
  const signed = Effect.fnUntraced(function*(store: string, name: string, ...more: ReadonlyArray<string>) {
    copyFileSync(join(directory, "authority"), join(directory, store))
    const signer = ["-signer", "authority"]
    yield* keytool(
      store,
      "-genkeypair",
      "-alias",
      store,
      ...signer,
      ...key,
      ...validity,
      "-dname",
      `CN=${name}`,
      ...more
    )
    yield* keytool(store, "-delete", ...authority)
    return readFileSync(join(directory, store))
  })
  const names = ["localhost", ...addresses].map((name) => `${isIP(name) === 0 ? "dns" : "ip"}:${name}`)
  const trusting = Effect.fnUntraced(function*() {
    const ca = yield* keytool("authority", "-exportcert", "-rfc", ...authority, "-file", "ca.pem").pipe(
      Effect.map(() => readFileSync(join(directory, "ca.pem"), "utf8"))
    )
    if (withClient) yield* keytool("trusted", "-importcert", "-noprompt", ...authority, "-file", "ca.pem")
    return { ca, trusted: withClient ? readFileSync(join(directory, "trusted")) : null }
  })
  const [{ ca, trusted }, server, client] = yield* Effect.all([
    trusting(),
    signed("server", "server", "-ext", `san=${names.join(",")}`),
    withClient ? signed("client", "client") : Effect.succeed(null)
  ], { concurrency: "unbounded" })
  return { ca, trusted, server, client, password }
})
