/**
 * How long the ledger takes, on an idle server.
 */
import { newJob } from "../jobs.ts"
import { numberOf, runNode } from "../measure.ts"
import type { Benchmark } from "../model.ts"
import type { CommitterConfig } from "../processes/committer.ts"
import { program } from "../programs.ts"

const benchmark = (subtasks: number): Benchmark => ({
  name: `committer-p${subtasks}`,
  group: "checkpoints",
  title: `ledger, ${subtasks} ${subtasks === 1 ? "subtask" : "subtasks"}`,
  tags: ["committer", "parts"],
  needs: ["server"],
  quantities: [
    { key: "claimMs", label: "claim, median ms", digits: 2 },
    { key: "publishMs", label: "publish, median ms", digits: 2 },
    { key: "commitMs", label: "commit, median ms", digits: 2 }
  ],
  run: async (context) => {
    const config: CommitterConfig = { ...newJob(context), times: context.rows < 50_000 ? 30 : 200, subtasks }
    const finished = await runNode(program("committer"), config, { profiles: context.profiles })
    return {
      values: {
        claimMs: numberOf(finished, "claimMs"),
        publishMs: numberOf(finished, "publishMs"),
        commitMs: numberOf(finished, "commitMs")
      }
    }
  }
})

export const benchmarks: ReadonlyArray<Benchmark> = [1, 64].map(benchmark)
