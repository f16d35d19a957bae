import { assert, layer } from "@effect/vitest"
import { Duration, Effect, Redacted, Result } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { rootCertificates } from "node:tls"
import type { CassandraSessionOptions, TlsOptions } from "../../src/cassandra/CassandraConfig.ts"
import * as CassandraSession from "../../src/cassandra/CassandraSession.ts"
import * as CassandraServer from "../../src/testing/CassandraServer.ts"
import { run, server as plainServer } from "../cli/commandFixture.ts"
import { tempDirectory } from "./tempDirectory.ts"

/** A server that wants a password, TLS, and a certificate of its clients. */
const Guarded = CassandraServer.layer({
  kinds: ["java"],
  authentication: true,
  tls: "client-certificate",
  heap: "300M"
})

interface Attempt {
  readonly name: string
  readonly options: (right: CassandraSessionOptions, tls: TlsOptions) => CassandraSessionOptions
  readonly reason: string
  readonly words: RegExp
}

const attempts: ReadonlyArray<Attempt> = [
  {
    name: "a wrong password",
    options: (right) => ({ ...right, password: Redacted.make("wrong") }),
    reason: "Authentication",
    words: /refused the credentials.*CASSANDRA_PASSWORD/
  },
  {
    name: "no credentials",
    options: (right) => ({ ...right, username: undefined, password: undefined }),
    reason: "Authentication",
    words: /wants a user name and a password, and none were given.*--username.*CASSANDRA_PASSWORD/
  },
  {
    name: "no authority",
    options: (right) => ({ ...right, tls: {} }),
    reason: "Tls",
    words: /not signed by an authority that is trusted here \(SELF_SIGNED_CERT_IN_CHAIN\).*--tls-ca/
  },
  {
    name: "another authority",
    options: (right) => ({ ...right, tls: { ca: rootCertificates[0]! } }),
    reason: "Tls",
    words: /not signed by an authority that is trusted here.*--tls-ca/
  },
  {
    name: "another name",
    options: (right, tls) => ({ ...right, tls: { ...tls, servername: "cassandra.example" } }),
    reason: "Tls",
    words: /for other names.*cassandra\.example.*DNS:localhost.*--tls-servername/
  },
  {
    name: "no certificate of the client",
    options: (right, { ca }) => ({ ...right, tls: { ca } }),
    reason: "Tls",
    words: /wants a certificate of the client.*--tls-cert/
  },
  {
    name: "no TLS",
    options: (right) => ({ ...right, tls: undefined }),
    reason: "Connection",
    words: /hung up: ECONNRESET.*wants TLS.*--tls/
  },
  {
    name: "a wrong passphrase",
    options: (right, tls) => ({ ...right, tls: { ...tls, passphrase: Redacted.make("wrong") } }),
    reason: "Config",
    words: /is the passphrase right\?/
  },
  {
    name: "an authority that is no certificate",
    options: (right, tls) => ({ ...right, tls: { ...tls, ca: "no PEM" } }),
    reason: "Config",
    words: /tls\.ca is no PEM text/
  }
]

const connect = (options: CassandraSessionOptions) =>
  Effect.scoped(Effect.flatMap(CassandraSession.make(options), (session) => session.clusterInfo))

layer(Guarded, { timeout: Duration.minutes(3), excludeTestServices: true })(
  "a server that wants a password and TLS",
  (it) => {
    it.effect("lets in who has both, by each of its names", () =>
      Effect.gen(function*() {
        const { session } = yield* CassandraServer.CassandraServer
        assert.strictEqual((yield* connect(session)).nodes.length, 1)
        yield* connect({ ...session, tls: { ...session.tls, servername: "localhost" } })
      }))

    it.effect.each(attempts)(
      "refuses $name, and the error says what to do",
      ({ options, reason, words }) =>
        Effect.gen(function*() {
          const { contactPoints, session } = yield* CassandraServer.CassandraServer
          const error = yield* Effect.flip(connect(options(session, session.tls!)))
          assert.match(error.message, words)
          assert.strictEqual(error.reason._tag, reason)
          assert.strictEqual(error.isRetryable, reason === "Connection")
          if (reason !== "Config") {
            assert.include(error.message, contactPoints[0]!)
          }
          assert.notInclude(error.message, "\n")
        })
    )

    it.effect("tells TLS to a port without it", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(
          connect({ contactPoints: [plainServer.contactPoints.split(",")[0]!], tls: {} })
        )
        assert.match(error.message, /does not speak TLS/)
        assert.strictEqual(error.reason._tag, "Tls")
      }))

    it.effect("is refused what its role may not do", () =>
      Effect.gen(function*() {
        const { session } = yield* CassandraServer.CassandraServer
        const error = yield* Effect.scoped(Effect.gen(function*() {
          const root = yield* CassandraSession.make(session)
          yield* root.execute("CREATE ROLE reader WITH PASSWORD = 'reads' AND LOGIN = true")
          const reader = yield* CassandraSession.make({
            ...session,
            username: "reader",
            password: Redacted.make("reads")
          })
          return yield* Effect.flip(reader.execute("SELECT * FROM system_auth.roles"))
        }))
        assert.strictEqual(error.reason._tag, "Authorization")
        assert.match(error.message, /Not permitted at .*GRANT/)
      }))

    it.effect("is used by the command, whose flags and variables say how; a failure is one line and exit code 3", () =>
      Effect.gen(function*() {
        const { contactPoints, session } = yield* CassandraServer.CassandraServer
        const directory = yield* tempDirectory
        const path = (name: string, content: string | Buffer) => {
          writeFileSync(join(directory, name), content)
          return join(directory, name)
        }
        const tls = session.tls!
        const ca = path("ca.pem", tls.ca as string)
        const client = path("client.p12", Redacted.value(tls.pfx!))
        const file = path("rows.ndjson", "{\"id\":1,\"name\":\"one\"}\n")
        yield* Effect.scoped(Effect.gen(function*() {
          const root = yield* CassandraSession.make(session)
          yield* root.execute(
            "CREATE KEYSPACE guarded WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
          )
          yield* root.execute("CREATE TABLE guarded.rows (id int PRIMARY KEY, name text)")
        }))
        const load = (flags: ReadonlyArray<string>, env: NodeJS.ProcessEnv = {}) =>
          Effect.promise(() =>
            run(["load", file, "--job=guarded", "-t", "guarded.rows", "--progress=none", ...flags], {
              cwd: directory,
              env: {
                CASSANDRA_CONTACT_POINTS: contactPoints[0],
                CASSANDRA_PASSWORD: "cassandra",
                CASSANDRA_TLS_PASSPHRASE: Redacted.value(tls.passphrase!),
                ...env
              }
            })
          )
        const flags = ["--username=cassandra", `--tls-ca=${ca}`, `--tls-cert=${client}`]
        const refusals: ReadonlyArray<
          readonly [ReadonlyArray<string>, NodeJS.ProcessEnv, number, RegExp]
        > = [
          [flags, { CASSANDRA_PASSWORD: "wrong" }, 3, /refused the credentials/],
          [flags.slice(1), {}, 3, /none were given/],
          [["--username=cassandra", `--tls-ca=${ca}`], {}, 3, /wants a certificate of the client/],
          [["--username=cassandra", "--tls"], { CASSANDRA_TLS_PASSPHRASE: undefined }, 3, /not signed by an authority/],
          [[...flags, "--tls-servername=other.example"], {}, 3, /for other names/],
          [["--username=cassandra"], { CASSANDRA_TLS_PASSPHRASE: undefined }, 3, /wants TLS/],
          [
            [...flags.slice(0, 2), "--tls-cert=nowhere.p12"],
            {},
            64,
            /nowhere\.p12 of --tls-cert can't be read \(ENOENT\)/
          ],
          [[...flags.slice(0, 2), `--tls-cert=${ca}`], {}, 64, /--tls-cert and --tls-key go together/],
          [["--username=cassandra", `--tls-ca=${file}`], {}, 3, /tls\.ca is no PEM text/]
        ]
        // Each with a state of its own: they run beside each other.
        const ended = yield* Effect.forEach(refusals, ([flags, env], i) => load([...flags, `--state=state${i}`], env), {
          concurrency: 2
        })
        for (const [i, [, , code, words]] of refusals.entries()) {
          assert.match(ended[i]!.stderr, words)
          assert.strictEqual(ended[i]!.code, code, ended[i]!.stderr)
          assert.notMatch(ended[i]!.stderr, /^\s+at /m)
          assert.notInclude(ended[i]!.stderr, "wrong\"")
        }
        const right = yield* load(flags)
        assert.strictEqual(right.code, 0, right.stderr)
        const rows = yield* Effect.scoped(Effect.flatMap(
          CassandraSession.make(session),
          (root) => root.query("SELECT id, name FROM guarded.rows")
        ))
        assert.deepStrictEqual(rows.map(({ id, name }) => [id, name]), [[1, "one"]])
      }))

    it.effect("a load needs no other rights than docs/operations.md grants, and says which one is missing", () =>
      Effect.gen(function*() {
        const { contactPoints, session } = yield* CassandraServer.CassandraServer
        const directory = yield* tempDirectory
        writeFileSync(join(directory, "flights.ndjson"), "{\"id\":1,\"delay\":5}\n{\"id\":2,\"delay\":0}\n")
        writeFileSync(join(directory, "ca.pem"), session.tls!.ca as string)
        writeFileSync(join(directory, "client.p12"), Redacted.value(session.tls!.pfx!))
        const command = (...args: ReadonlyArray<string>) =>
          Effect.promise(() =>
            run([...args, ...args[0] === "ddl" ? [] : ["--tls-ca=ca.pem", "--tls-cert=client.p12"]], {
              cwd: directory,
              env: {
                CASSANDRA_CONTACT_POINTS: contactPoints[0],
                CASSANDRA_USERNAME: "loader",
                CASSANDRA_PASSWORD: "loads",
                CASSANDRA_TLS_PASSPHRASE: Redacted.value(session.tls!.passphrase!)
              }
            })
          )
        const asRoot = (...statements: ReadonlyArray<string>) =>
          Effect.scoped(Effect.gen(function*() {
            const root = yield* CassandraSession.make(session)
            for (const statement of statements) yield* root.execute(statement)
          }))
        const load = command("load", "flights.ndjson", "-k", "demo", "-t", "flights", "--job", "flights")

        yield* asRoot(
          "CREATE ROLE loader WITH PASSWORD = 'loads' AND LOGIN = true",
          "CREATE KEYSPACE demo WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
          "CREATE TABLE demo.flights (id int PRIMARY KEY, delay int)"
        )
        const printed = yield* command("ddl", "--job", "flights")
        assert.strictEqual(printed.code, 0, printed.stderr)
        const refused = yield* load
        assert.strictEqual(refused.code, 3, refused.stderr)
        assert.match(refused.stderr, /^error: .*loader has no MODIFY permission on <table demo\.flights>/m)

        const page = readFileSync("docs/operations.md", "utf8")
        const grants = [.../```sql\n([^]*?)```/.exec(page)![1]!.matchAll(/^(.*);$/gm)].map(([, grant]) => grant!)
        assert.lengthOf(grants, 3)
        yield* asRoot(
          ...printed.stdout.trimEnd().split(";\n").map((statement) => statement.replace(/;$/, "")),
          ...grants
        )
        // Nodes remember for two seconds what a role may not do.
        yield* Effect.sleep("3 seconds")
        const loaded = yield* load
        assert.strictEqual(loaded.code, 0, loaded.stderr)
        assert.match(loaded.stderr, /2 committed/)

        const unread = yield* command("verify", "flights.ndjson", "-k", "demo", "-t", "flights")
        assert.match(unread.stderr, /loader has no SELECT permission on <table demo\.flights>/)
        assert.strictEqual(unread.code, 3, unread.stderr)
        yield* asRoot(/`(GRANT SELECT [^`]+)`/.exec(page)![1]!)
        const verified = yield* command("verify", "flights.ndjson", "-k", "demo", "-t", "flights")
        assert.strictEqual(verified.code, 0, verified.stderr)
      }))

    it.effect("answers after a restart as before", () =>
      Effect.gen(function*() {
        const server = yield* CassandraServer.CassandraServer
        yield* server.kill
        assert.isTrue(Result.isFailure(yield* Effect.result(connect(server.session))))
        yield* server.restart
        yield* connect(server.session)
      }))
  }
)
