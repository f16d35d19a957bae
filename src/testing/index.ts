/**
 * Tools for tests: a real Cassandra, simulated ones with faults, and crash tests of a program of your own.
 *
 * @since 0.1.0
 */
export * as CassandraServer from "./CassandraServer.ts"
export * as CrashTest from "./CrashTest.ts"
export * as FaultProgram from "./FaultProgram.ts"
export * as FaultProxy from "./FaultProxy.ts"
export * as SimulatedCassandra from "./SimulatedCassandra.ts"
export * as SimulatedDisk from "./SimulatedDisk.ts"
export * as TableContent from "./TableContent.ts"
export * as TestKeyspace from "./TestKeyspace.ts"
