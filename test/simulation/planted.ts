/**
 * Bugs that the simulation has to find: each is one that this library, or one like it, could have, planted in its sources
 * while they are loaded. A simulation that does not find a planted bug does not test for it.
 *
 * An edit's `find` must be in its file exactly once.
 */
export interface Edit {
  /** Below `src/`. */
  readonly file: string
  readonly find: string
  readonly replace: string
}

export interface PlantedBug {
  readonly name: string
  /** What goes wrong. */
  readonly why: string
  readonly edits: ReadonlyArray<Edit>
}

const bug = (name: string, why: string, ...edits: ReadonlyArray<Edit>): PlantedBug => ({ name, why, edits })
const edit = (file: string, find: string, replace: string): Edit => ({ file, find, replace })

const coordinator = "checkpoint/CheckpointCoordinator.ts"
const barriers = "checkpoint/Barriers.ts"
const committer = "cassandra/CassandraCommitter.ts"
const backend = "state/FileStateBackend.ts"
const files = "state/internal/files.ts"
const frame = "state/RowFrame.ts"
const subtask = "sink/Subtask.ts"
const recovery = "sink/Recovery.ts"

const stampOnce = [
  edit(
    frame,
    "    writeInt64(bytes, timestamp, at + 4)\n    timestamp++\n",
    "    writeInt64(bytes, timestamp, at + 4)\n"
  ),
  edit(frame, "  return timestamp\n}", "  return timestamp + 1\n}")
]

export const plantedBugs: ReadonlyArray<PlantedBug> = [
  // --- order and completeness

  bug(
    "commit-past-failure",
    "A checkpoint whose rows could not be sent is committed (Flink's GenericWriteAheadSink): its rows are lost.",
    edit(
      subtask,
      "yield* Effect.scoped(sendValues(segment))",
      "yield* Effect.ignore(Effect.scoped(sendValues(segment)))"
    )
  ),
  bug(
    "commit-before-send",
    "What is in the ledger is not yet in the table: a death between the two loses it.",
    edit(
      subtask,
      "        yield* Effect.scoped(sendValues(segment))",
      "        yield* coordinator.commit(lineage, checkpointId)\n        yield* Effect.scoped(sendValues(segment))"
    )
  ),
  bug(
    "position-early",
    "The position moves before the records are in the stream: a barrier between the two skips them.",
    edit(
      barriers,
      "          readAhead.take(1),\n",
      "          Effect.suspend(() => {\n            position = chunk.position\n            return readAhead.take(1)\n          }),\n"
    )
  ),
  bug(
    "failure-as-end",
    "The failure of the input is taken for its end: what has come is flushed, and the rest is never read.",
    edit(
      barriers,
      "const finished = yield* read.pipe(\n        Effect.as(true),",
      "const finished = yield* read.pipe(\n        Effect.ignore,\n        Effect.as(true),"
    )
  ),
  bug(
    "late-acknowledgement",
    "A segment that is sealed after its checkpoint was aborted is forgotten: no later checkpoint has it.",
    edit(
      coordinator,
      "if (segment !== null) sealed.add(segment)",
      "if (segment !== null && inFlight.has(barrier.checkpointId)) sealed.add(segment)"
    )
  ),
  bug(
    "vanished-subtasks",
    "What a subtask left behind is only sent by the one with the same number: with fewer of them it never is.",
    edit(subtask, "handle.subtask % coordinator.parallelism === index", "handle.subtask === index")
  ),
  bug(
    "rows-dealt-round-robin",
    "The rows of one key go to different subtasks, whose timestamps are not ordered.",
    edit(
      "sink/WriteAheadSink.ts",
      "partitionHash(scratch.bytes, 0, partitionKeys) % parallelism",
      "i % parallelism"
    )
  ),

  // --- timestamps

  bug("timestamp-per-chunk", "Rows of a chunk share a timestamp: of one key, neither wins.", ...stampOnce),
  bug(
    "timestamp-per-checkpoint",
    "Rows of a checkpoint share a timestamp, as in Flink.",
    ...stampOnce,
    edit(subtask, "const first = Math.max(", "const first = openRows > 0 ? lastTimestamp : Math.max(")
  ),
  bug(
    "timestamp-in-milliseconds",
    "Timestamps are a thousand times too small: whoever else writes the table wins (Flink).",
    edit(subtask, "Math.floor(clock.currentTimeMillisUnsafe() * 1000)", "Math.floor(clock.currentTimeMillisUnsafe())")
  ),
  bug(
    "timestamp-below-claim",
    "A process whose clock is behind, on a machine without the state, writes below what is there.",
    edit(
      coordinator,
      "let maxTimestamp = Math.max(claim.maxTimestamp, restored?.maxTimestamp ?? 0)",
      "let maxTimestamp = restored?.maxTimestamp ?? 0"
    )
  ),
  bug(
    "timestamp-below-checkpoint",
    "A process whose clock is behind its predecessor's writes below what the log holds.",
    edit(
      coordinator,
      "firstTimestamp: maxTimestamp + 1",
      "firstTimestamp: 1"
    )
  ),

  // --- the disk

  bug(
    "segment-not-synced",
    "A power loss takes rows of a completed checkpoint.",
    edit(backend, "          yield* ioError(\"sync\", path)(file.sync)\n", "")
  ),
  bug(
    "segment-sync-retried",
    "After a failed fsync the next one succeeds without the data.",
    edit(
      backend,
      "yield* ioError(\"sync\", path)(file.sync)",
      "yield* Effect.retry(ioError(\"sync\", path)(file.sync), { times: 3 })"
    )
  ),
  bug(
    "segments-directory-not-synced",
    "A power loss takes the name of a synced segment.",
    edit(backend, "          yield* syncDirectory(fs, segments)\n", "")
  ),
  bug(
    "manifest-not-synced",
    "A power loss leaves a checkpoint of zeros.",
    edit(files, "    yield* file.sync\n", "")
  ),
  bug(
    "checkpoints-directory-not-synced",
    "A power loss brings an old checkpoint back, whose segments are gone.",
    edit(
      files,
      "  yield* ioError(\"rename\", path)(fs.rename(temporary, path))\n  yield* syncDirectory(fs, directory)\n",
      "  yield* ioError(\"rename\", path)(fs.rename(temporary, path))\n"
    )
  ),
  bug(
    "rename-before-sync",
    "A power loss between the two leaves the new name with a part of the content.",
    edit(files, "    yield* file.sync\n", ""),
    edit(
      files,
      "  yield* ioError(\"rename\", path)(fs.rename(temporary, path))\n",
      "  yield* ioError(\"rename\", path)(fs.rename(temporary, path))\n" +
        "  yield* ioError(\"sync\", path)(Effect.scoped(Effect.flatMap(fs.open(path, { flag: \"r+\" }), (file) => file.sync)))\n"
    )
  ),
  bug(
    "existing-directory-not-synced",
    "A process that was killed has made the directory and not synced its parent; nobody does it later.",
    edit(
      files,
      "    return yield* Effect.ignore(Effect.andThen(makeDirectory(fs, parent), syncDirectory(fs, parent)))\n",
      "    return\n"
    )
  ),
  bug(
    "sweep-takes-all",
    "Segments that wait for Cassandra are taken for orphans.",
    edit(backend, "const kept = new Set(keep.map((handle) => handle.name))", "const kept = new Set<string>()"),
    edit(backend, "of manifests.slice(0, retained)) {", "of manifests.slice(0, 0)) {")
  ),
  bug(
    "removed-before-durable",
    "A superseded process removes its own checkpoint for its successor's, whose new name is not durable yet.",
    edit(backend, "      if (manifests[0]?.name !== name) yield* syncDirectory(fs, checkpoints)\n", "")
  ),
  bug(
    "swept-before-durable",
    "A start sweeps an older checkpoint, when the newer one was renamed by a process that died before it was durable.",
    edit(backend, "      if (manifests.length > retained) yield* syncDirectory(fs, checkpoints)\n", "")
  ),
  bug(
    "sealed-while-removed",
    "A subtask seals and gives out a segment that is being removed, because another subtask has failed.",
    edit(subtask, "const scope = yield* Scope.fork(yield* Effect.scope)", "const scope = yield* Effect.scope"),
    edit(
      backend,
      "failed ??= new StateIoError({ path, operation: \"seal\", code: null, detail: \"its run has ended\" })\n",
      "\n"
    )
  ),
  bug(
    "file-opened-before-ledger",
    "A segment whose rows are in is opened before the ledger is asked, and is gone.",
    edit(
      subtask,
      "    const skipped = restored && segment !== null",
      "    if (restored && segment !== null) yield* Effect.scoped(backend.openSegment(segment))\n" +
        "    const skipped = restored && segment !== null"
    )
  ),
  bug(
    "checksums-ignored",
    "A flipped bit is sent to the table.",
    edit("state/WalFormat.ts", "if (crc !== bytes.readUInt32BE(offset + 8)) {", "if (offset < 0) {"),
    edit(
      "state/internal/segmentReader.ts",
      "if (crc !== handle.crc || rows !== handle.rows) {",
      "if (rows !== handle.rows) {"
    )
  ),

  // --- one writer

  bug(
    "ids-reused",
    "After the state was lost, checkpoints begin with 1 again, and the ledger says that they are in.",
    edit(
      coordinator,
      "let lastId = Math.max(restored?.checkpointId ?? 0, claim.publishedCheckpointId, ...claim.ledger.values())",
      "let lastId = restored?.checkpointId ?? 0"
    )
  ),
  bug(
    "no-epoch-check",
    "A superseded process goes on publishing and committing.",
    edit(committer, "        { cql: replace, params: [BigInt(epoch), uid, epochRow, BigInt(epoch)] },\n", "")
  ),
  bug(
    "no-publish",
    "Rows are sent before the ledger knows their timestamps: the successor can't be above them.",
    edit(coordinator, "if (manifest.pending.length > 0) {", "if (manifest.pending.length < 0) {")
  ),
  bug(
    "ledger-without-conditions",
    "The ledger is written without conditions: late and superseded writes move it back.",
    edit(committer, "VALUES (?, ?, ?) IF NOT EXISTS`", "VALUES (?, ?, ?)`"),
    edit(committer, "AND sub_id = ? IF checkpoint_id < ?`", "AND sub_id = ?`"),
    edit(committer, "AND sub_id = ? IF checkpoint_id = ?`", "AND sub_id = ?`"),
    edit(committer, "params: [BigInt(value), uid, row, BigInt(value)] }", "params: [BigInt(value), uid, row] }"),
    edit(
      committer,
      "params: [BigInt(epoch), uid, epochRow, BigInt(epoch)] }",
      "params: [BigInt(epoch), uid, epochRow] }"
    ),
    edit(committer, "params: [next, uid, epochRow, BigInt(current)] }", "params: [next, uid, epochRow] }"),
    edit(committer, "if (applied === true) {", "if (applied !== false) {")
  ),
  bug(
    "stale-cache",
    "The ledger's cache is filled once and survives a claim: what is committed is opened and sent again.",
    edit(
      committer,
      "Effect.tap((rows) => Ref.set(cache, rows)),",
      "Effect.tap((rows) => Ref.update(cache, (old) => old ?? rows)),"
    )
  ),
  bug(
    "claim-without-owner",
    "Whoever finds an epoch takes it for his own: two processes share it.",
    edit(committer, "rows.get(ownerRow) === token && ", "")
  ),
  bug(
    "restart-claims-anew",
    "A superseded process that restarts its job takes it back from its successor.",
    edit(recovery, "let claim = yield* claimEpoch(options.previousEpoch)", "let claim = yield* claimEpoch(null)")
  ),
  bug(
    "manifest-before-claim",
    "The checkpoint is read before the job is claimed: what the predecessor completes in between is missed.",
    edit(
      recovery,
      "  let claim = yield* claimEpoch(options.previousEpoch)\n" +
        "  let restored = yield* backend.latestCheckpoint\n",
      "  let restored = yield* backend.latestCheckpoint\n" +
        "  let claim = yield* claimEpoch(options.previousEpoch)\n"
    )
  ),
  bug(
    "newest-by-id",
    "A checkpoint that a superseded process completes counts as the newest.",
    edit(
      "checkpoint/Manifest.ts",
      "b.epoch - a.epoch || b.checkpointId - a.checkpointId",
      "b.checkpointId - a.checkpointId || b.epoch - a.epoch"
    )
  ),

  bug(
    "sweep-of-a-zombie",
    "A process that was frozen before its sweep takes what its successor has written for orphans.",
    edit(backend, "if (kept.has(name) || epochOf(name) > epoch) continue", "if (kept.has(name)) continue")
  ),

  bug(
    "sweep-before-adoption",
    "Orphans are removed before the own epoch has a manifest: a superseded process completes one that lists them.",
    edit(
      recovery,
      "  const coordinator = yield* Coordinator.make({",
      "  yield* backend.sweep(restored?.pending ?? [], claim.epoch)\n  const coordinator = yield* Coordinator.make({"
    )
  ),
  bug(
    "fenced-as-corrupt",
    "A superseded process finds that its successor has sent and removed its segments, and calls this corruption.",
    edit(subtask, "Effect.andThen(countFenced(committer.checkEpoch), Effect.fail(error))", "Effect.fail(error)")
  ),
  bug(
    "locked-by-itself",
    "A lock whose release could not be written keeps its own process out.",
    edit(
      "state/DirectoryLock.ts",
      "isOwn ? processes.held.has(path(before)) : processes.isAlive(identity)",
      "processes.isAlive(identity)"
    )
  ),

  // --- going on

  bug(
    "triggers-after-the-end",
    "Checkpoints are triggered behind the end of the input, expire, and fail a job that only waits for Cassandra.",
    edit(barriers, "      yield* coordinator.stop\n", "")
  ),

  bug(
    "waits-for-aborted",
    "A full subtask waits for a checkpoint that was aborted, and the barrier of the next one is behind what waits.",
    edit(
      subtask,
      "isFull() && pending.some(({ checkpointId }) => !aborted.has(checkpointId))",
      "isFull() && pending.length > 0"
    )
  ),
  bug(
    "no-back-pressure",
    "The log grows as long as Cassandra does not answer.",
    edit(
      subtask,
      "if (!mustWait()) return Effect.void\n    room.closeUnsafe()",
      "if (!mustWait() || isFull()) return Effect.void\n    room.closeUnsafe()"
    )
  ),
  bug(
    "limit-falls-to-zero",
    "Failures halve the requests that may be under way until there may be none, and nothing is sent any more.",
    edit("sink/AdaptiveLimit.ts", "Math.max(1, exact)", "Math.max(0, exact)"),
    edit("sink/RequestGate.ts", "Math.max(1, bound())", "bound()")
  ),
  bug(
    "burst-above-limit",
    "Requests that are sent together wait for a limit that allows all of them, and nothing is under way that could raise it.",
    edit("sink/RequestGate.ts", "underWay === 0 || free * 4 >= max ? Math.max(0, free) : 0", "0")
  )
]
