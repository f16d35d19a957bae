/**
 * Names in CQL.
 *
 * @since 0.1.0
 */

/** What Cassandra's grammar does not take for a name without quotes. */
const reserved = new Set(
  (`add allow alter and apply asc authorize batch begin by columnfamily create default delete desc describe drop ` +
    `entries execute from full grant if in index infinity insert into is keyspace limit materialized mbean mbeans ` +
    `modify nan norecursive not null of on or order primary rename replace revoke schema select set table to token ` +
    `truncate unlogged unset update use using view where with`).split(" ")
)

/**
 * A name as CQL text: in quotes if it needs them.
 *
 * @category formatting
 * @since 0.1.0
 */
export const identifier = (name: string): string =>
  /^[a-z][a-z0-9_]*$/.test(name) && !reserved.has(name) ? name : `"${name.replaceAll("\"", "\"\"")}"`
