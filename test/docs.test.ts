/**
 * The documents show what is there: links lead somewhere, programs are files that run, tests that are named exist, and the
 * page of options has all of them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Client } from "cassandra-driver"
import { execFile } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { promisify } from "node:util"

const pages = [
  "README.md",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "examples/README.md",
  ...Fs.readdirSync("docs").filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`)
].filter((page) => Fs.existsSync(page))

const read = (file: string): string => Fs.readFileSync(file, "utf8")

/** What a reader sees as text: nothing in fences is a heading or a link. */
const prose = (text: string): string => text.replace(/^```[^]*?^```/gm, "")

/** The anchors that GitHub makes of headings. */
const anchorsOf = (text: string): ReadonlyArray<string> =>
  [...prose(text).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!.trim().toLowerCase().replace(/[^\p{L}\p{N}_ -]/gu, "").replaceAll(" ", "-")
  )

interface NamedTest {
  readonly file: string
  readonly title: string
}

/** `[FlinkLimits](test/real/FlinkLimits.test.ts) "the title of a test"`, the path as seen from the page. */
const namedTests = (page: string): ReadonlyArray<NamedTest> =>
  [...prose(read(page)).matchAll(/\]\(([^)\s]+\.test\.ts)\)\s"([^"]+)"/g)].map(([, file, title]) => ({
    file: Path.join(Path.dirname(page), file!),
    title: title!
  }))

describe("documents", () => {
  for (const page of pages) {
    it(`${page}: links lead to files and headings that are there`, () => {
      for (const [, link] of prose(read(page)).matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
        const [file, anchor] = link!.split("#") as [string, string | undefined]
        const target = file === "" ? page : Path.join(Path.dirname(page), file)
        assert.isTrue(Fs.existsSync(target), `${link} in ${page}`)
        if (anchor !== undefined) assert.include(anchorsOf(read(target)), anchor, `${link} in ${page}`)
      }
    })

    it(`${page}: the tests that it names are there`, () => {
      for (const { file, title } of namedTests(page)) {
        // In quotes: a comment that has the words is no test. It may go on, in parentheses mostly.
        const quoted = ["\"", "`"].some((quote) => read(file).includes(`${quote}${title}`))
        assert.isTrue(quoted, `"${title}", which ${page} names, is no test of ${file}`)
      }
    })

    it(`${page}: programs are files of examples/`, () => {
      const text = read(page)
      const shown = [...text.matchAll(/<!-- (examples\/\S+) -->\n```ts\n([^]*?)```/g)]
      assert.lengthOf([...text.matchAll(/^```(?:ts|typescript)$/gm)], shown.length, "a program that is no file")
      for (const [, file, code] of shown) {
        const program = read(file!)
        assert.strictEqual(code, program.slice(program.indexOf("import")), file)
      }
    })
  }
})

const rowsOf = (text: string): ReadonlyArray<ReadonlyArray<string>> =>
  [...text.matchAll(/^\| (.*) \|$/gm)].map(([, row]) => row!.split(" | ").map((cell) => cell.trim()))

describe("README.md", () => {
  const text = read("README.md")

  it("has each way in which Flink's sink breaks, and each has a test of its number", () => {
    const limits = read("test/real/FlinkLimits.test.ts")
    const shown = [...text.matchAll(/\| `L(\d+)` \|/g)].map(([, number]) => Number(number))
    assert.deepStrictEqual(shown, Array.from({ length: 15 }, (_, i) => i + 1))
    for (const number of shown) assert.match(limits, new RegExp(`describe\\("L${number}: `), `L${number}`)
  })

  it("its table of Flink's names has a test or an example in each row", () => {
    const section = /^### Flink's names[^]*?(?=^## )/m.exec(text)?.[0] ?? ""
    const rows = rowsOf(section).filter(([flink]) => flink !== "Flink")
    assert.isAtLeast(rows.length, 15)
    for (const row of rows) {
      assert.lengthOf(row, 3, row[0])
      assert.match(row[2]!, /\]\((?:test|examples)\/[^)]+\.ts\)/, row[0])
    }
  })
})

describe("docs/from-flink.md", () => {
  const text = read("docs/from-flink.md")
  const rows = rowsOf(prose(text)).filter(([flink]) => flink !== "Flink")

  it("each row shows a test or an example, or a dash", () => {
    assert.isAbove(rows.length, 150)
    for (const row of rows) {
      assert.lengthOf(row, 4, row.join(" | "))
      const shownBy = row[3]!
      if (shownBy !== "–") assert.match(shownBy, /\]\(\.\.\/(?:test|examples)\/[^)]+\.ts\)/, row[0])
    }
  })

  it("names more than a hundred tests", () => {
    assert.isAbove(namedTests("docs/from-flink.md").length, 140)
  })

  // The public methods and settings of flink-connector-cassandra 3.2, and of Flink's CheckpointConfig and restart strategies.
  const flinkNames = `
    addSink setQuery setDefaultKeyspace setHost setClusterBuilder enableWriteAheadLog setMapperOptions setFailureHandler
    setMaxConcurrentRequests enableIgnoreNullFields build() uid setUidHash setParallelism disableChaining slotSharingGroup
    CassandraSinkBaseConfig newBuilder CassandraSinkBuilder CassandraTupleSinkBuilder CassandraRowSinkBuilder
    CassandraPojoSinkBuilder CassandraScalaProductSinkBuilder createSink createWriteAheadSink sanityCheck name
    CassandraSinkBase AbstractCassandraTupleSink getCluster CassandraClusterBuilder CassandraSourceBuilder
    setMaxSplitMemorySize buildForPojo buildForRowData CassandraPojoInputFormat CassandraColumnarOutputFormatBase
    onFailure buildCluster processElement initializeState snapshotState notifyCheckpointComplete getMapperOptions
    CassandraTupleSink CassandraRowSink CassandraPojoSink CassandraScalaProductSink
    GenericWriteAheadSink CassandraTupleWriteAheadSink CassandraRowWriteAheadSink sendValues CheckpointCommitter
    CassandraCommitter setJobId setOperatorId createResource open() close() commitCheckpoint isCheckpointCommitted
    ClusterBuilder MapperOptions SimpleMapperOptions ttl timestamp consistencyLevel tracing saveNullFields ifNotExists
    CassandraFailureHandler NoOpCassandraFailureHandler CassandraAppendTableSink CassandraSource CassandraInputFormat
    CassandraOutputFormat CassandraTupleOutputFormat CassandraPojoOutputFormat CassandraRowOutputFormat
    enableCheckpointing setCheckpointInterval disableCheckpointing setForceCheckpointing setFailOnCheckpointingErrors
    setExternalizedCheckpointCleanup setForceUnalignedCheckpoints setAlignedCheckpointTimeout setCheckpointStorage
    setCheckpointIdOfIgnoredInFlightData enableApproximateLocalRecovery setCheckpointingMode setCheckpointTimeout setMinPauseBetweenCheckpoints
    setMaxConcurrentCheckpoints setTolerableCheckpointFailureNumber setExternalizedCheckpointRetention
    enableUnalignedCheckpoints interval mode timeout min-pause max-concurrent-checkpoints tolerable-failed-checkpoints
    externalized-checkpoint-retention num-retained unaligned.enabled unaligned.forced aligned-checkpoint-timeout
    checkpoints-after-tasks-finish incremental storage dir savepoint-dir
    fixed-delay.attempts fixed-delay.delay exponential-delay.initial-backoff exponential-delay.max-backoff
    exponential-delay.backoff-multiplier exponential-delay.reset-backoff-threshold exponential-delay.jitter-factor
    exponential-delay.attempts-before-reset-backoff failure-rate.max-failures-per-interval
    failure-rate.failure-rate-interval failure-rate.delay
    hosts port keyspace table username password consistency-level connect-timeout read-timeout query
    max-split-memory-size cluster-builder-class JobManagerCheckpointStorage FileSystemCheckpointStorage
    HashMapStateBackend EmbeddedRocksDBStateBackend create-subdir snapshot-compression setUseSnapshotCompression
    cleaner.parallel-mode data-inline-threshold write-buffer-size interval-during-backlog
    recover-without-channel-state.checkpoint-id unaligned.interruptible-timers.enabled
    unaligned.max-subtasks-per-channel-state-file noRestart() fallBackRestart() setMaxParallelism
    numberOfCompletedCheckpoints numberOfFailedCheckpoints numberOfInProgressCheckpoints totalNumberOfCheckpoints
    lastCheckpointDuration lastCheckpointSize lastCheckpointFullSize lastCheckpointExternalPath
    lastCheckpointProcessedData lastCheckpointPersistedData lastCheckpointRestoreTimestamp lastCompletedCheckpointId
    checkpointStartDelayNanos checkpointAlignmentTime numRestarts web.checkpoints.history
  `.trim().split(/\s+/)

  it("has a row for each name of Flink's", () => {
    const flink = rows.map(([first]) => first).join("\n")
    for (const name of flinkNames) {
      const pattern = new RegExp(`(?<![\\w-])${name.replace(/[.()]/g, "\\$&")}(?![\\w-])`)
      assert.match(flink, pattern, name)
    }
  })

  it("its program runs, and finds nothing to do when it is run again", async () => {
    const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "effect-cassandra-docs-"))
    const client = new Client({
      contactPoints: process.env["CASSANDRA_CONTACT_POINTS"]!.split(","),
      localDataCenter: process.env["CASSANDRA_LOCAL_DC"] ?? "datacenter1"
    })
    try {
      await client.execute(
        "CREATE KEYSPACE IF NOT EXISTS lab WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
      )
      await client.execute("DROP TABLE IF EXISTS lab.readings")
      await client.execute("DROP TABLE IF EXISTS flink_auxiliary.checkpoints_readings").catch(() => {})
      await client.execute(
        "CREATE TABLE lab.readings (sensor text, at timestamp, celsius double, PRIMARY KEY (sensor, at))"
      )
      Fs.writeFileSync(
        Path.join(directory, "readings.csv"),
        "s1,2026-01-01T00:00:00Z,32\ns2,2026-01-01T00:00:00Z,\ns1,2026-01-01T00:01:00Z,50\n"
      )
      const run = () =>
        promisify(execFile)(process.execPath, [Path.resolve("examples/from-flink.ts")], { cwd: directory })
      assert.include((await run()).stdout, "finished: 2 rows")
      assert.include((await run()).stdout, "nothing-to-do: 0 rows")
      const { rows: found } = await client.execute("SELECT at, celsius FROM lab.readings WHERE sensor = 's1'")
      assert.deepStrictEqual(
        found.map((row) => [row["at"].toISOString(), Math.round(row["celsius"])]),
        [["2026-01-01T00:00:00.000Z", 0], ["2026-01-01T00:01:00.000Z", 10]]
      )
    } finally {
      await client.shutdown()
      Fs.rmSync(directory, { recursive: true })
    }
  })
})

/** Names of an interface's own members, read from its source. */
const membersOf = (file: string, name: string): ReadonlyArray<string> => {
  const body = new RegExp(`^export interface ${name}\\b[^]*?\\{\\n([^]*?)^\\}`, "m").exec(read(file))?.[1]
  assert.isDefined(body, `${name} in ${file}`)
  return [...body!.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, member]) => member!)
}

const optionInterfaces: ReadonlyArray<readonly [file: string, name: string]> = [
  ["src/cassandra/CassandraConfig.ts", "CassandraSessionOptions"],
  ["src/cassandra/CassandraConfig.ts", "TlsOptions"],
  ["src/cassandra/CassandraCommitter.ts", "CassandraCommitterOptions"],
  ["src/checkpoint/CheckpointConfig.ts", "CheckpointConfig"],
  ["src/checkpoint/RestartStrategy.ts", "FixedDelayOptions"],
  ["src/checkpoint/RestartStrategy.ts", "ExponentialDelayOptions"],
  ["src/checkpoint/RestartStrategy.ts", "FailureRateOptions"],
  ["src/checkpoint/Barriers.ts", "FromStreamOptions"],
  ["src/job/Job.ts", "JobOptions"],
  ["src/sink/WriteAheadSink.ts", "WriteAheadSinkOptions"],
  ["src/sink/RowEncoder.ts", "RowEncoderOptions"],
  ["src/sink/SinkStatement.ts", "SinkStatementOptions"],
  ["src/sink/StatementRoutes.ts", "StatementOptions"],
  ["src/sink/BatchWriter.ts", "BatchWriterOptions"],
  ["src/sink/BatchPlan.ts", "BatchBounds"],
  ["src/sink/DeadLetterFile.ts", "DeadLetterFileOptions"],
  ["src/sink/DeadLetterTable.ts", "DeadLetterTableOptions"],
  ["src/state/FileStateBackend.ts", "FileStateBackendOptions"],
  ["src/source/FileFormat.ts", "FileOptions"],
  ["src/source/NdjsonSource.ts", "NdjsonOptions"],
  ["src/source/CsvSource.ts", "CsvOptions"],
  ["src/source/IterableSource.ts", "IterableOptions"],
  ["src/observability/MetricsServer.ts", "MetricsServerOptions"],
  ["src/observability/OtlpExport.ts", "OtlpExportOptions"],
  ["src/observability/JobHealth.ts", "JobHealthOptions"]
]

describe("docs/configuration.md", () => {
  const text = read("docs/configuration.md")

  for (const [file, name] of optionInterfaces) {
    it(`${name}: has each option, and no other`, () => {
      const section = new RegExp(`^### ${name}\n([^]*?)(?=^##|$(?![^]))`, "m").exec(text)?.[1] ?? ""
      const listed = rowsOf(section).map(([option]) => option!.replaceAll("`", "")).filter((option) =>
        option !== "option"
      )
      assert.deepStrictEqual(listed.toSorted(), membersOf(file, name).toSorted())
    })
  }

  it("has each variable of the session, and no other", () => {
    const known = new Set(
      [...read("src/cassandra/CassandraConfig.ts").matchAll(/"(CASSANDRA_[A-Z_]+)"/g)].map(([, variable]) => variable!)
    )
    const listed = new Set([...text.matchAll(/`(CASSANDRA_[A-Z_]+)`/g)].map(([, variable]) => variable!))
    assert.deepStrictEqual([...listed].toSorted(), [...known].toSorted())
  })

  it("has each flag, here or in docs/command.md, and no other", () => {
    const known = new Set(
      [
        ...["options", "loadOptions", "tlsOptions"].map((name) => read(`src/cli/${name}.ts`)).join("").matchAll(
          /Flag\.(?:optional|withDefault|required|toggle|list|repeated)\(\s*"([a-z-]+)"/g
        )
      ]
        .map(([, flag]) => flag!)
    )
    assert.isAbove(known.size, 50)
    const documented = `${text}\n${read("docs/command.md")}`
    for (const flag of known) assert.include(documented, `\`--${flag}`, flag)
    const general = new Set(["help", "version", "completions", "log-level", "no-header"])
    for (const [, flag] of text.matchAll(/`--([a-z-]+)/g)) {
      if (!general.has(flag!)) assert.isTrue(known.has(flag!), `--${flag} is no flag`)
    }
  })
})

describe("CONTRIBUTING.md", () => {
  const text = read("CONTRIBUTING.md")

  it("says which room uses which, as the imports do", () => {
    const rooms = Fs.readdirSync("src", { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((
      { name }
    ) => name)
    const rows = rowsOf(text).filter(([room]) => room!.startsWith("`src/"))
    assert.deepStrictEqual(rows.map(([room]) => room!.slice(5, -2)).toSorted(), rooms.toSorted())
    for (const [room, , uses] of rows) {
      const name = room!.slice(5, -2)
      const used = new Set(
        Fs.readdirSync(`src/${name}`, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"))
          .flatMap((file) =>
            [...read(`src/${name}/${file}`).matchAll(/from "(?:\.\.\/)+(\w+)\//g)].map(([, other]) => other!)
          )
          .filter((other) => rooms.includes(other) && other !== name)
      )
      const named = [...uses!.matchAll(/`(\w+)`/g)].map(([, other]) => other!)
      const allowed = uses!.startsWith("all but") ? rooms.filter((other) => !named.includes(other)) : named
      assert.deepStrictEqual([...used].filter((other) => !allowed.includes(other)), [], `src/${name} uses more`)
      if (!uses!.startsWith("all but")) assert.deepStrictEqual(named.toSorted(), [...used].toSorted(), `src/${name}`)
    }
  })

  it("names commands that are there", () => {
    const { scripts } = JSON.parse(read("package.json")) as { readonly scripts: { readonly [name: string]: string } }
    for (const [, name] of text.matchAll(/npm run ([\w:]+)/g)) assert.property(scripts, name!)
  })
})

describe(".github/workflows/ci.yml", () => {
  const workflow = read(".github/workflows/ci.yml")

  it("runs .ci/run on the oldest Node that is promised and on the newest, as the README says", () => {
    const { engines } = JSON.parse(read("package.json")) as { readonly engines: { readonly node: string } }
    const [, nodes] = /node: \[(.*)\]/.exec(workflow)!
    const [oldest, newest] = nodes!.split(", ").map((node) => node.replaceAll("\"", ""))
    assert.strictEqual(engines.node, `>=${oldest}`)
    assert.include(read("README.md"), `Node ${oldest} to ${newest}`)
    assert.include(read("CONTRIBUTING.md"), `TEST_NODE_VERSION=${oldest} .ci/run`)
    assert.match(workflow, /run: \.ci\/run\n\s+env:\n\s+TEST_NODE_VERSION: \$\{\{ matrix\.node \}\}/)
    // And does nothing of its own besides.
    assert.deepStrictEqual([...workflow.matchAll(/\brun: (.*)/g)].map(([, command]) => command), [".ci/run"])
    assert.match(read(".ci/run"), /^npm ci$[^]*"node@\$TEST_NODE_VERSION"[^]*^npm test$/m)
  })
})
