#!/usr/bin/env node
// Only what the oldest Node can read stands here: the version is checked before anything else is loaded.
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)

if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(
    `error: effect-cassandra needs Node 22.19 or newer; this is ${process.versions.node} (${process.execPath}).\n`
  )
  process.exit(3)
} else {
  const args = process.argv.slice(2)
  import("./cli/smallHeap.ts").then(({ keepHeapSmall }) => {
    // `verify` holds what it compares, on purpose.
    const loaded = args.includes("verify") ? () => {} : keepHeapSmall()
    import("./cli/Cli.ts").then(({ main }) => {
      loaded()
      main(args)
    })
  })
}
