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
const ledgerWrites = "checkpoint/internal/ledgerWrites.ts"
const barriers = "checkpoint/Barriers.ts"
const committer = "cassandra/CassandraCommitter.ts"
const takenOver = "cassandra/internal/takenOver.ts"
const backend = "state/FileStateBackend.ts"
const segmentWriter = "state/internal/segmentWriter.ts"
const files = "state/internal/files.ts"
const frame = "state/RowFrame.ts"
const subtask = "sink/Subtask.ts"
const pending = "sink/PendingCheckpoints.ts"
const setAside = "sink/SetAside.ts"
const letterFile = "sink/DeadLetterFile.ts"
const writer = "sink/BatchWriter.ts"
const savepoint = "state/Savepoint.ts"
const restore = "sink/RestoreSavepoint.ts"
const recovery = "sink/Recovery.ts"
const manualCommit = "sink/ManualCommit.ts"
const manualRepair = "sink/ManualRepair.ts"
const exportFile = "cli/exportFile.ts"

const stampOnce = [
  edit(
    frame,
    "    timestamp += bytes.readUInt16BE(at + 20) === letterStatement ? rowsOfRecord : 1\n",
    ""
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
      "yield* Effect.scoped(sendValues(segment, restored, turn))",
      "yield* Effect.andThen(Effect.ignore(Effect.scoped(sendValues(segment, restored, turn))), turn.after.open)"
    )
  ),
  bug(
    "commit-before-send",
    "What is in the ledger is not yet in the table: a death between the two loses it.",
    edit(
      subtask,
      "    const setAside = yield* Effect.scoped(sendValues(segment, restored, turn))",
      "    yield* coordinator.commit(lineage, checkpointId)\n" +
        "    const setAside = yield* Effect.scoped(sendValues(segment, restored, turn))"
    )
  ),
  bug(
    "commit-overtakes",
    "A checkpoint is committed as soon as its own rows are in: the ledger then says so of the one before, which is still sent.",
    edit(subtask, "    yield* turn.before.await\n    yield* sink", "    yield* sink"),
    edit(subtask, "{ concurrency: 2 }", "{ concurrency: 2, unordered: true }")
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
    edit(pending, "handle.subtask % parallelism === index", "handle.subtask === index")
  ),
  bug(
    "rows-dealt-round-robin",
    "The rows of one key go to different subtasks, whose timestamps are not ordered.",
    edit(
      "sink/ChunkEncoder.ts",
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
    edit(segmentWriter, "        yield* ioError(\"sync\", path)(file.sync)\n", "")
  ),
  bug(
    "segment-sync-retried",
    "After a failed fsync the next one succeeds without the data.",
    edit(
      segmentWriter,
      "yield* ioError(\"sync\", path)(file.sync)",
      "yield* Effect.retry(ioError(\"sync\", path)(file.sync), { times: 3 })"
    )
  ),
  bug(
    "segments-directory-not-synced",
    "A power loss takes the name of a synced segment.",
    edit(segmentWriter, "        yield* syncDirectory(fs, directory)\n", "")
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
      segmentWriter,
      "      if (isSealed) return Effect.void\n      end()\n",
      "      if (isSealed) return Effect.void\n"
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
    edit(ledgerWrites, "pending.length === 0 ? Effect.void", "pending.length >= 0 ? Effect.void")
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
    edit(committer, "known === null ? rows : newerOf(known, rows)", "known ?? rows"),
    edit(committer, "    yield* Ref.set(cache, rows)\n", "")
  ),
  bug(
    "claim-without-owner",
    "Whoever finds an epoch takes it for his own: two processes share it.",
    edit(committer, "rows.get(ownerRow) === token && ", "")
  ),
  bug(
    "restart-claims-anew",
    "A superseded process that restarts its job takes it back from its successor.",
    edit(recovery, "let claimed = yield* claimEpoch(previousEpoch)", "let claimed = yield* claimEpoch(null)")
  ),
  bug(
    "manifest-before-claim",
    "The checkpoint is read before the job is claimed: what the predecessor completes in between is missed.",
    edit(
      recovery,
      "  let claimed = yield* claimEpoch(previousEpoch)\n" +
        "  let restored = yield* backend.latestCheckpoint\n",
      "  let restored = yield* backend.latestCheckpoint\n" +
        "  let claimed = yield* claimEpoch(previousEpoch)\n"
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
      "  yield* backend.sweep(restored?.pending ?? [], claimed.epoch)\n  const coordinator = yield* Coordinator.make({"
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

  // --- several statements

  bug(
    "statement-index",
    "The log does not say which of several statements a row is for: it is sent with the first one, its values in other places.",
    edit(
      "sink/ChunkEncoder.ts",
      "writers[subtask]!.addWritten(place, statement, statements",
      "writers[subtask]!.addWritten(place, 0, statements"
    )
  ),
  bug(
    "statements-apart",
    "Each statement deals its rows on its own, so that two rows of one key are logged by subtasks that do not know of each other.",
    edit("sink/StatementRoutes.ts", "keys[i]!)\n", "keys[i]!) + i\n")
  ),
  bug(
    "statements-mixed",
    "Rows of several statements share a request, which is sent with the statement of its first row.",
    edit(
      "sink/BatchWriter.ts",
      "BatchPlan.byStatement(rows, statements.length).map",
      "[[...rows]].map"
    )
  ),

  bug(
    "outdated-state-trusted",
    "A state that the job has not gone on with is taken for its own: marks about others' rows count for its pending ones.",
    edit(
      recovery,
      "if (newest === null || publishedEpoch <= newest.epoch) return null",
      "if (newest === null || publishedEpoch > -1) return null"
    )
  ),

  bug(
    "outdated-state-is-done",
    "There is nothing to do for a state that has come to its end, though the job is on its way there again elsewhere.",
    edit(
      recovery,
      "  const { takenOverBy } = yield* mustBeCurrent\n  if (takenOverBy === undefined) return false\n",
      "  const { takenOverBy } = yield* (yield* CheckpointCommitter).current\n  if (takenOverBy === undefined) return false\n"
    )
  ),

  // --- a ledger that is lost

  bug(
    "other-ledger-trusted",
    "A state goes on with whatever ledger it finds: in another cluster, what was sent before is missing.",
    edit(recovery, "  if (ledgerId === newest.ledgerId) return null\n", "  if (ledgerId !== undefined) return null\n")
  ),
  bug(
    "new-ledger-below-the-state",
    "A new ledger begins with an epoch that the state has had: what is written under it is not the newest.",
    edit(recovery, "committer.claimEpoch(null, found.epoch)", "committer.claimEpoch(null)")
  ),
  bug(
    "new-ledger-forgotten",
    "That a new ledger was accepted is not kept with the state: it is refused again.",
    edit(
      recovery,
      "{ ...newest, ...ledgerIdOf(claimed), epoch: claimed.epoch, pending }",
      "{ ...newest, epoch: claimed.epoch, pending }"
    )
  ),
  bug(
    "new-ledger-wants-what-was-removed",
    "What was committed and removed, as only the lost ledger knew, is taken for lost.",
    edit(recovery, "yield* Effect.filter(newest.pending, backend.holdsSegment)", "newest.pending")
  ),

  // --- dead letters

  bug(
    "letter-after-commit",
    "A letter is written when its checkpoint is committed: a death between the two loses it.",
    edit(subtask, "    return yield* letters.finish\n", "    late.set(segment.name, letters.finish)\n    return 0\n"),
    edit(
      subtask,
      "      if (!skipped) yield* coordinator.commit(lineage, checkpointId, setAside)\n",
      "      if (!skipped) yield* coordinator.commit(lineage, checkpointId, setAside)\n" +
        "      if (late.has(segment.name)) yield* late.get(segment.name)\n"
    ),
    edit(subtask, "  let segments = 0\n", "  let segments = 0\n  const late = new Map<string, any>()\n")
  ),
  bug(
    "letter-not-synced",
    "A power loss takes the letter of a committed checkpoint.",
    edit(letterFile, "      yield* file.sync\n", "")
  ),
  bug(
    "letters-directory-not-synced",
    "A power loss takes the file with all letters.",
    edit(letterFile, "    if (!isDurable) yield* syncDirectory(fs, directory)\n", "")
  ),
  bug(
    "letter-behind-a-torn-one",
    "A letter is written into the line that a crash has cut off, and both are lost.",
    edit(letterFile, "(endsOpen ? \"\\n\" : \"\") + ", "")
  ),
  bug(
    "letter-taken-for-durable",
    "A letter that can be read is not written again, though it was never synced.",
    edit(
      letterFile,
      "    if (!isDurable) yield* makeDirectory(fs, directory)\n",
      "    letters = letters.filter(({ id }) => !seen.has(id))\n    if (letters.length === 0) return\n" +
        "    if (!isDurable) yield* makeDirectory(fs, directory)\n"
    ),
    edit(
      letterFile,
      "    const found = new Map<string, Stage | null>()\n",
      "    const found = new Map<string, Stage | null>()\n    seen = found\n"
    ),
    edit(
      letterFile,
      "  let isDurable = false\n",
      "  let isDurable = false\n  let seen = new Map<string, Stage | null>()\n"
    )
  ),
  bug(
    "poison-dropped",
    "A row that Cassandra refuses is left out without a letter.",
    edit(
      writer,
      "if (refused !== undefined) return refused(row, error, attempts)",
      "if (refused !== undefined) return Effect.void"
    )
  ),
  bug(
    "unreadable-dropped",
    "A record that could not be read is passed over without a letter.",
    edit(
      "checkpoint/Barriers.ts",
      "rejected === undefined ? good : inPlace(good, rejected)",
      "good"
    )
  ),
  bug(
    "unreadable-last",
    "What could not be read is logged behind all that was read with it: where a cut loses it, the range that is told is wrong.",
    edit("checkpoint/Barriers.ts", "inPlace(good, rejected)\n", "[...good, ...rejected]\n")
  ),
  bug(
    "letter-of-a-committed-checkpoint",
    "A start writes the letters of a checkpoint that the ledger has: those too that a person has skipped on purpose.",
    edit(
      subtask,
      "    if (segment === null || skipped) {\n",
      "    const again = skipped ? sink.setAside?.ofSegment(segment!, true) : undefined\n" +
        "    if (again !== undefined) {\n" +
        "      yield* Effect.ignore(Effect.scoped(Effect.gen(function*() {\n" +
        "        const { blocks } = yield* backend.openSegment(segment!)\n" +
        "        const rowsOf = SegmentRows.ofBlocks(segment!.name, segment!)\n" +
        "        yield* Stream.runForEach(blocks, (block) => Effect.flatMap(rowsOf([block]), again.rows))\n" +
        "        yield* again.finish\n" +
        "      })))\n" +
        "    }\n" +
        "    if (segment === null || skipped) {\n"
    )
  ),
  bug(
    "batch-dead-lettered",
    "All rows of a batch that is refused go to the dead letters, the good ones too.",
    edit(
      writer,
      "return rows.length > 1 ? split(origin, rows, attempts) : refuse(origin, rows[0]!, error, attempts)",
      "return Effect.forEach(rows, (row) => refuse(origin, row, error, attempts), { discard: true })"
    )
  ),
  bug(
    "unheard-dead-lettered",
    "A row goes to the dead letters because a node has not heard of its table yet.",
    edit(
      writer,
      "if (!SchemaLag.isUnheardOf(error) && ",
      "if (true || "
    )
  ),
  bug(
    "letters-counted-twice",
    "Letters that are written again after a restart count again.",
    edit(
      setAside,
      "      known.set(letter.id, letter.stage)\n",
      "      known.set(`${letter.id} ${known.size}`, letter.stage)\n"
    )
  ),
  bug(
    "letter-of-this-run",
    "A letter's id has the epoch in it: after a restart the same letter is another one.",
    edit(
      subtask,
      "sink.setAside?.ofSegment(segment, restored)",
      "sink.setAside?.ofSegment({ ...segment, checkpointId: segment.checkpointId + coordinator.epoch / 1000 }, restored)"
    )
  ),

  // --- by hand

  bug(
    "repair-without-claim",
    "A repair takes the next epoch without claiming it: whoever still runs is not stopped, and completes what counts.",
    edit(
      manualRepair,
      "const claimEpoch = Effect.retry(committer.claimEpoch(null, above), Recovery.claimRetry)\n",
      "const claimEpoch = Effect.gen(function*() {\n" +
        "    const ledger = new Map<number, number>()\n" +
        "    for (const { manifest } of before.state.checkpoints) {\n" +
        "      for (const { checkpointId, subtask } of manifest._tag === \"Success\" ? manifest.success.pending : []) {\n" +
        "        const isIn = yield* committer.isCheckpointCommitted(subtask, checkpointId)\n" +
        "        if (isIn) ledger.set(subtask, Math.max(checkpointId, ledger.get(subtask) ?? 0))\n" +
        "      }\n    }\n" +
        "    return { epoch: above + 1, publishedCheckpointId: 0, publishedEpoch: 0, maxTimestamp: 0, ledger }\n  })\n"
    ),
    edit(
      manualRepair,
      "  const mustHold = Effect.retry(committer.checkEpoch, Recovery.claimRetry)\n",
      "  const mustHold = Effect.void\n"
    )
  ),
  bug(
    "repair-of-an-outdated-state",
    "A state that was left behind is repaired, and taken for the newest by that.",
    edit(
      "sink/CurrentState.ts",
      "  if (why !== null) return yield* why\n",
      ""
    )
  ),
  bug(
    "repair-under-the-old-epoch",
    "What a repair writes is of the epoch that it goes on from: what a superseded process completes is newer.",
    edit(
      manualRepair,
      "const adopted: Manifest = { ...from, ...ledgerIdOf(claim), epoch, pending }",
      "const adopted: Manifest = { ...from, ...ledgerIdOf(claim), pending }"
    )
  ),
  bug(
    "repair-drops-a-block",
    "A cut takes a whole block with it that lies before the damage.",
    edit(manualRepair, "for (const block of scan.blocks)", "for (const block of scan.blocks.slice(0, -1))")
  ),
  bug(
    "repair-moves-first",
    "What is damaged is moved away before there is a manifest that does without it: a death in between leaves neither.",
    edit(manualRepair, "  yield* backend.completeCheckpoint(adopted)\n", ""),
    edit(
      manualRepair,
      "  for (const { handle } of cuts) yield* setAside(state, \"segments\", handle.name)\n",
      "  for (const { handle } of cuts) yield* setAside(state, \"segments\", handle.name)\n" +
        "  yield* backend.completeCheckpoint(adopted)\n"
    )
  ),
  bug(
    "repair-tells-less",
    "A cut tells the last whole row behind the damage as the end of what is lost, though the end of the file is lost too.",
    edit(
      "state/StateRepair.ts",
      "upTo: scan.isEndWhole ? scan.lastOfAll!.place : null",
      "upTo: scan.lastOfAll?.place ?? 0"
    )
  ),
  bug(
    "skip-too-many",
    "Whoever skips a checkpoint skips the one behind it as well.",
    edit(
      manualCommit,
      "segments.map(({ subtask }) => ({ subtask, checkpointId }))",
      "segments.map(({ subtask }) => ({ subtask, checkpointId: checkpointId + 1 }))"
    )
  ),
  bug(
    "commit-claims-anew",
    "A process that decides by hand claims the job again before it records that, whoever has claimed it meanwhile.",
    edit(
      manualCommit,
      "  yield* committer.commitCheckpoints(",
      "  yield* committer.claimEpoch(null)\n  yield* committer.commitCheckpoints("
    )
  ),
  bug(
    "commit-forgets-the-rest",
    "A checkpoint that is decided on by hand takes all that is pending out of the manifest.",
    edit(
      manualCommit,
      "yield* backend.completeCheckpoint({ ...adopted, pending: left })",
      "yield* backend.completeCheckpoint({ ...adopted, pending: [] })"
    )
  ),

  bug(
    "repair-cuts-the-letters",
    "A cut keeps the rows before the damage, and not the records among them that were set aside.",
    edit(
      manualRepair,
      "for (const block of scan.blocks) yield* SegmentRows.append(writer, block)",
      "for (const { payload } of scan.blocks) {\n" +
        "    const rows: Array<Buffer> = []\n" +
        "    for (let at = 0; at < payload.length; at += 4 + payload.readUInt32BE(at)) {\n" +
        "      const row = payload.subarray(at, at + 4 + payload.readUInt32BE(at))\n" +
        "      if (row.readUInt16BE(20) !== 65535) rows.push(row)\n" +
        "    }\n" +
        "    if (rows.length > 0) {\n" +
        "      yield* SegmentRows.append(writer, { payload: Buffer.concat(rows), rows: rows.length })\n" +
        "    }\n" +
        "  }"
    )
  ),
  bug(
    "commit-forgets-the-letters",
    "A checkpoint is committed by hand, and the records that were set aside with it are nowhere any more. (Was so.)",
    edit(exportFile, "if (records > 0) yield* write(", "if (records < 0) yield* write(")
  ),
  bug(
    "skip-exports-rows-alone",
    "What is skipped is exported without the records that were set aside.",
    edit(
      "cli/loggedRows.ts",
      "which === \"all\" || isLetter(row)",
      "which === \"all\" ? !isLetter(row) : isLetter(row)"
    )
  ),
  bug(
    "export-not-synced",
    "A power loss takes what was exported, when the ledger says that the log need not have it any more.",
    edit(exportFile, "      Effect.andThen(Effect.mapError(file.sync, unwritable)),\n", "")
  ),
  bug(
    "export-directory-not-synced",
    "A power loss takes the name of the file that was exported to.",
    edit(exportFile, "(directory) => directory.sync)", "() => Effect.void)")
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
      pending,
      "pending.some(({ checkpointId }) => !aborted.has(checkpointId))",
      "pending.length > 0"
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
  ),

  bug(
    "buffer-back-too-early",
    "The buffer of logged rows is written over by the next ones before it is on the disk.",
    edit(
      segmentWriter,
      "return Effect.andThen(writeGathered, write(block, release))",
      "return Effect.andThen(Effect.andThen(writeGathered, Effect.sync(release)), write(block, () => {}))"
    )
  ),
  bug(
    "gathered-back-too-early",
    "The buffer that short blocks are gathered in is filled again while it is still being written.",
    edit(
      segmentWriter,
      "return write(buffer.subarray(0, length), () => buffers.give(buffer))",
      "buffers.give(buffer)\n    return write(buffer.subarray(0, length), () => {})"
    )
  ),
  bug(
    "sealed-out-of-order",
    "A segment is acknowledged before the one ahead of it in the stream is sealed: a checkpoint completes without its rows.",
    edit(
      subtask,
      "Stream.runForEach(Stream.fromQueue(ended), seal)",
      "Stream.runDrain(Stream.mapEffect(Stream.fromQueue(ended), seal, { concurrency: 2 }))"
    )
  ),
  bug(
    "ended-before-sealed",
    "The stream is over when its last barrier has come, not when its segment is sealed.",
    edit(
      subtask,
      "yield* Effect.all([logAll, sealAll], { concurrency: 2, discard: true })",
      "yield* Effect.andThen(Effect.forkIn(sealAll, scope), logAll)"
    )
  ),
  bug(
    "sealed-while-written",
    "A segment is synced and sealed while its last bytes are still being written.",
    edit(segmentWriter, "        yield* writeGathered\n        yield* written\n", "        yield* writeGathered\n")
  ),
  bug(
    "read-back-too-early",
    "The buffer that a segment was read into is read over when its rows are planned, not when they are in the table.",
    edit(
      writer,
      "plan: ({ release, rows }) => ({",
      "plan: ({ release, rows }) => (release?.(), {"
    )
  ),
  bug(
    "window-back-too-early",
    "The buffers of rows that are sorted together are read over when the first of them are in the table.",
    edit(writer, "        of.left -= rows\n        if (of.left === 0) of", "        of")
  ),
  bug(
    "half-full-batches-forgotten",
    "Batches that are not full when all rows were looked at are never sent.",
    edit("sink/BatchPlan.ts", "      if (mixed !== undefined) return mixed\n", "")
  ),

  // --- savepoints

  bug(
    "savepoint-segment-not-synced",
    "A power loss takes rows of a savepoint that was told to be taken.",
    edit("state/internal/segmentCopy.ts", "    yield* ioError(\"sync\", path)(file.sync)\n", "")
  ),
  bug(
    "savepoint-directory-not-synced",
    "A power loss takes the names of a savepoint's segments.",
    edit(savepoint, "      yield* syncDirectory(fs, `${directory}/segments`)\n", "")
  ),
  bug(
    "savepoint-before-segments",
    "What makes a savepoint complete is written before its rows: a process that dies in between leaves one without them.",
    edit(
      savepoint,
      "      const statements = new Map<string, WalFormat.LoggedStatement>()\n",
      "      yield* writeDurably(fs, directory, metadataName, WalFormat.encodeJson(\"savepoint\", " +
        "{ id, takenAt, ledger, statements: [], checkpoint }))\n" +
        "      const statements = new Map<string, WalFormat.LoggedStatement>()\n"
    )
  ),
  bug(
    "savepoint-position-of-the-reader",
    "A savepoint goes on where the source is, not where its checkpoint is: what was read in between is lost.",
    edit(
      "job/Job.ts",
      "        checkpoint,\n        ledger: committer.describe,",
      "        checkpoint: { ...checkpoint, position: tally.position() },\n        ledger: committer.describe,"
    )
  ),
  bug(
    "savepoint-without-rows",
    "A savepoint holds where the source was, and not the rows that were still to be sent.",
    edit(
      savepoint,
      "for (const handle of checkpoint.pending) {\n        const copied",
      "for (const handle of []) {\n        const copied"
    )
  ),
  bug(
    "restore-stamps-anew",
    "The rows of a savepoint get new timestamps: they replace what the job has written after it.",
    edit(
      "state/SegmentRows.ts",
      "    return writer.append(RowFrame.fromFrames(payload, rows), first, last)",
      "    const anew = RowFrame.fromFrames(payload, rows)\n    const { bytes } = anew\n" +
        "    for (let at = 0; at < bytes.length; at += 4 + bytes.readUInt32BE(at)) bytes.fill(0, at + 4, at + 12)\n" +
        "    return writer.append(anew, last + 1, RowFrame.stamp(anew, last + 1) - 1)"
    )
  ),
  bug(
    "restore-below-the-old-job",
    "A job that was restored under another name, with a clock that is behind, writes below what the old one has written.",
    edit(
      restore,
      "Math.max(checkpoint.maxTimestamp, claim.maxTimestamp, other?.maxTimestamp ?? 0)",
      "checkpoint.maxTimestamp"
    )
  ),
  bug(
    "restore-without-fence",
    "The job that the savepoint is of is not superseded: what is left of it goes on writing.",
    edit(
      takenOver,
      "seen(yield* claim(job, first.epoch, heir))",
      "{ ...first.ledger, epoch: first.epoch, ledger: first.ledger.committed }"
    )
  ),
  bug(
    "restored-by-two",
    "Nobody looks who has gone on from a savepoint before: two jobs with different names do.",
    edit(
      takenOver,
      "const refusal = isSame(owner, own) || names === undefined",
      "const refusal = isSame(owner, own) || links.length > 0"
    )
  ),
  bug(
    "old-name-goes-on",
    "A job that was moved is started under its old name, and reads what the other one reads.",
    edit(recovery, "if (takenOverBy !== undefined) yield* mustBeOwner({ jobId, uid })", "void takenOverBy"),
    edit(
      recovery,
      "  if (by === undefined) return\n",
      "  if (by === undefined || takeOverFrom === undefined) return\n"
    )
  ),
  bug(
    "restore-supersedes-unasked",
    "A process that was frozen while it restored supersedes the job, which has long come back under its first name.",
    edit(takenOver, "      yield* checkEpoch\n", ""),
    edit(committer, "(other) => other.claimEpoch(found)", "(other) => other.claimEpoch(null)")
  ),
  bug(
    "restore-by-a-zombie",
    "A process that was frozen while it restored finds the state of its successor, and claims the job again.",
    edit(restore, "yield* Effect.as(goOn, claim.epoch)", "yield* Effect.as(goOn, null)")
  ),
  bug(
    "restore-of-one-lineage",
    "Pending rows of subtasks that there are no more are left behind.",
    edit(
      restore,
      "for (const [number, handle] of checkpoint.pending.entries()) {\n",
      "for (const [number, handle] of checkpoint.pending.entries()) {\n    if (handle.subtask > 0) continue\n"
    )
  ),
  bug(
    "restored-twice",
    "The same command, run again, restores the savepoint again, over what has been done since.",
    edit(
      restore,
      "if (found.restoredFrom === savepoint.id) return true",
      "if (found.restoredFrom === savepoint.id) return false"
    )
  ),
  bug(
    "restored-before-its-rows",
    "The state says that it was restored before the savepoint's rows are in it.",
    edit(
      restore,
      "  const pending: Array<SegmentHandle> = []\n",
      "  const pending: Array<SegmentHandle> = []\n" +
        "  yield* backend.completeCheckpoint({ ...checkpoint, ...ledgerIdOf(claim), jobId: backend.jobId, uid: backend.uid, " +
        "epoch: claim.epoch, checkpointId, maxTimestamp, pending: [], restoredFrom: savepoint.id })\n"
    )
  ),
  bug(
    "origin-forgotten",
    "A checkpoint does not tell which savepoint its state came from: the same command is refused.",
    edit(coordinator, "{} : { restoredFrom: restored.restoredFrom }", "{} : {}")
  ),
  bug(
    "cache-of-a-successor",
    "A superseded process reads its successor's ledger, and takes what stands there for published by itself.",
    edit(
      committer,
      "      if (currentEpoch !== epoch) return yield* new Fenced({ ledger: describe, epoch, currentEpoch })\n" +
        "      const due = wanted",
      "      const due = wanted"
    ),
    edit(
      committer,
      "      rows = yield* read\n    }\n  })\n\n  const claimEpoch",
      "      rows = yield* read\n" +
        "      const now = rows.get(epochRow) ?? null\n" +
        "      if (now !== epoch) return yield* new Fenced({ ledger: describe, epoch, currentEpoch: now })\n" +
        "    }\n  })\n\n  const claimEpoch"
    )
  )
]
