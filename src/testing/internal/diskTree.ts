/**
 * The directories of a simulated disk: names as programs see them, names as a power loss leaves them, and the changes
 * in between. Rules of POSIX as Linux keeps them; no links, no permissions.
 */
import { DiskError } from "./diskError.ts"
import { DiskFile } from "./diskFile.ts"

export class DiskDirectory {
  readonly kind = "Directory"
  readonly id: number
  path: string
  entries = new Map<string, DiskNode>()
  durable = new Map<string, DiskNode>()
  modified: number

  constructor(id: number, path: string, modified: number) {
    this.id = id
    this.path = path
    this.modified = modified
  }
}

export type DiskNode = DiskFile | DiskDirectory

/** One name that comes to stand for a node, or for nothing. */
export interface Edit {
  readonly directory: DiskDirectory
  readonly name: string
  readonly node: DiskNode | null
}

/** A change of names that no fsync of a directory has made durable. It survives a power loss wholly or not at all. */
export interface NameChange {
  readonly at: number
  readonly what: "create" | "remove" | "rename"
  readonly node: DiskNode
  readonly edits: ReadonlyArray<Edit>
  readonly label: string
}

/** Parts of an absolute path; "." and ".." are resolved by name, as there are no symbolic links. */
export const partsOf = (path: string): Array<string> => {
  const parts: Array<string> = []
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue
    if (part === "..") parts.pop()
    else parts.push(part)
  }
  return parts
}

export const normalize = (path: string): string => `/${partsOf(path).join("/")}`

const applyEdits = (side: "entries" | "durable", edits: ReadonlyArray<Edit>): void => {
  for (const { directory, name, node } of edits) {
    if (node === null) directory[side].delete(name)
    else directory[side].set(name, node)
  }
}

/** Where a path leads: its parent directory, its last name, and what is there. */
interface Place {
  readonly parent: DiskDirectory
  readonly name: string
  readonly node: DiskNode | undefined
}

export class DiskTree {
  root: DiskDirectory
  nodes: number
  changes: Array<NameChange> = []
  /** Bytes of all files that have a name or a handle. */
  used = 0
  /** The number of the next change, of names and of contents alike. */
  at: number

  constructor(root?: DiskDirectory, nodes = 1, at = 1) {
    this.root = root ?? new DiskDirectory(0, "/", 0)
    this.nodes = nodes
    this.at = at
  }

  lookup(path: string, syscall: string, shown = path): DiskNode | undefined {
    let node: DiskNode = this.root
    const parts = partsOf(path)
    for (let i = 0; i < parts.length; i++) {
      if (node.kind === "File") throw new DiskError("ENOTDIR", syscall, shown)
      const next = node.entries.get(parts[i]!)
      if (next === undefined) {
        if (i === parts.length - 1) return undefined
        throw new DiskError("ENOENT", syscall, shown)
      }
      node = next
    }
    return node
  }

  get(path: string, syscall: string): DiskNode {
    const node = this.lookup(path, syscall)
    if (node === undefined) throw new DiskError("ENOENT", syscall, path)
    return node
  }

  place(path: string, syscall: string, shown = path): Place {
    const parts = partsOf(path)
    const name = parts.pop()
    if (name === undefined) throw new DiskError("EPERM", syscall, shown)
    const parent = this.lookup(`/${parts.join("/")}`, syscall, shown)
    if (parent === undefined) throw new DiskError("ENOENT", syscall, shown)
    if (parent.kind === "File") throw new DiskError("ENOTDIR", syscall, shown)
    return { parent, name, node: parent.entries.get(name) }
  }

  private change(what: NameChange["what"], node: DiskNode, edits: ReadonlyArray<Edit>, label: string): void {
    const at = this.at++
    for (const { directory, name, node: next } of edits) {
      const before = directory.entries.get(name)
      if (before?.kind === "File") before.links--
      if (next?.kind === "File") next.links++
      directory.modified = at
    }
    const replaced = edits.map(({ directory, name }) => directory.entries.get(name))
    applyEdits("entries", edits)
    this.changes.push({ at, what, node, edits, label })
    for (const before of replaced) if (before?.kind === "File") this.release(before)
  }

  /** Gives back the bytes of a file that nothing refers to. */
  release(file: DiskFile): void {
    if (file.links === 0 && file.handles === 0) this.used -= file.size
  }

  createFile(place: Place, path: string): DiskFile {
    const file = new DiskFile(this.nodes++, path, this.at)
    this.change("create", file, [{ directory: place.parent, name: place.name, node: file }], `create ${path}`)
    return file
  }

  makeDirectory(path: string, recursive: boolean): void {
    const parts = partsOf(path)
    for (let i = recursive ? Math.min(1, parts.length) : parts.length; i <= parts.length; i++) {
      const upTo = `/${parts.slice(0, i).join("/")}`
      if (upTo === "/") {
        if (recursive) continue
        throw new DiskError("EEXIST", "mkdir", path)
      }
      const { name, node, parent } = this.place(upTo, "mkdir", path)
      if (node !== undefined) {
        if (recursive && node.kind === "Directory") continue
        throw new DiskError(i === parts.length ? "EEXIST" : "ENOTDIR", "mkdir", path)
      }
      const made = new DiskDirectory(this.nodes++, upTo, this.at)
      this.change("create", made, [{ directory: parent, name, node: made }], `make directory ${upTo}`)
    }
  }

  remove(path: string, recursive: boolean, force: boolean): void {
    let place: Place
    try {
      place = this.place(path, "lstat")
    } catch (error) {
      if (force && error instanceof DiskError && error.code === "ENOENT") return
      throw error
    }
    const { name, node, parent } = place
    if (node === undefined) {
      if (force) return
      throw new DiskError("ENOENT", "lstat", path)
    }
    if (node.kind === "Directory") {
      if (!recursive) throw new DiskError("ERR_FS_EISDIR", "rm", path)
      for (const child of Array.from(node.entries.keys())) this.remove(`${path}/${child}`, true, force)
    }
    this.change("remove", node, [{ directory: parent, name, node: null }], `remove ${normalize(path)}`)
  }

  rename(from: string, to: string): void {
    const fail = (code: ConstructorParameters<typeof DiskError>[0]) => new DiskError(code, "rename", from, to)
    const placed = (path: string) => {
      try {
        return this.place(path, "rename")
      } catch (error) {
        throw error instanceof DiskError && error.code !== "ERR_FS_EISDIR" ? fail(error.code) : error
      }
    }
    const source = placed(from)
    const target = placed(to)
    if (source.node === undefined) throw fail("ENOENT")
    const [oldPath, newPath] = [normalize(from), normalize(to)]
    if (newPath.startsWith(`${oldPath}/`)) throw fail("EINVAL")
    if (oldPath.startsWith(`${newPath}/`)) throw fail("ENOTEMPTY")
    if (source.node === target.node) return
    if (target.node !== undefined) {
      if (source.node.kind === "Directory") {
        if (target.node.kind === "File") throw fail("ENOTDIR")
        if (target.node.entries.size > 0) throw fail("ENOTEMPTY")
      } else if (target.node.kind === "Directory") {
        throw fail("EISDIR")
      }
    }
    this.change("rename", source.node, [
      { directory: source.parent, name: source.name, node: null },
      { directory: target.parent, name: target.name, node: source.node }
    ], `rename ${oldPath} to ${newPath}`)
    source.node.path = newPath
  }

  /**
   * Makes the names of a directory durable. A rename to or from another directory takes along what happened there
   * before it, as one transaction of a journal would.
   */
  syncDirectory(directory: DiskDirectory): void {
    const directories = new Set([directory])
    const synced = new Set<NameChange>()
    for (let i = this.changes.length - 1; i >= 0; i--) {
      const change = this.changes[i]!
      if (!change.edits.some((edit) => directories.has(edit.directory))) continue
      synced.add(change)
      for (const edit of change.edits) directories.add(edit.directory)
    }
    if (synced.size === 0) return
    for (const change of synced.size === 1 ? synced : Array.from(synced).toReversed()) {
      applyEdits("durable", change.edits)
    }
    this.changes = this.changes.filter((change) => !synced.has(change))
  }

  /** An fsync of a directory that failed: its changes stay visible and are never written. */
  dropUnsynced(directory: DiskDirectory): void {
    this.changes = this.changes.filter((change) => !change.edits.some((edit) => edit.directory === directory))
  }

  /** What a power loss leaves of the names: durable ones, with `kept` laid over them in their order. */
  restart(kept: ReadonlyArray<NameChange>): void {
    for (const change of kept) applyEdits("durable", change.edits)
    this.changes = []
    this.used = 0
    const files = new Set<DiskFile>()
    const directories = new Set<DiskDirectory>()
    const visit = (node: DiskNode, path: string) => {
      node.path = path
      if (node.kind === "File") {
        if (!files.has(node)) node.links = 0
        files.add(node)
        node.links++
        node.handles = 0
        return
      }
      if (directories.has(node)) return
      directories.add(node)
      node.entries = new Map(node.durable)
      for (const [name, child] of node.entries) visit(child, path === "/" ? `/${name}` : `${path}/${name}`)
    }
    visit(this.root, "/")
  }

  /** Every file that has a name, with its path. */
  files(): Array<readonly [path: string, file: DiskFile]> {
    const found: Array<readonly [string, DiskFile]> = []
    const visit = (directory: DiskDirectory, path: string) => {
      for (const [name, node] of directory.entries) {
        if (node.kind === "File") found.push([`${path}/${name}`, node])
        else visit(node, `${path}/${name}`)
      }
    }
    visit(this.root, "")
    return found
  }

  countUsed(): void {
    this.used = 0
    for (const file of new Set(this.files().map(([, file]) => file))) this.used += file.size
  }

  clone(): DiskTree {
    const copies = new Map<DiskNode, DiskNode>()
    const directoryOf = (node: DiskDirectory): DiskDirectory => copyOf(node) as DiskDirectory
    const copyOf = (node: DiskNode): DiskNode => {
      const known = copies.get(node)
      if (known !== undefined) return known
      if (node.kind === "File") {
        const file = node.clone()
        copies.set(node, file)
        return file
      }
      const directory = new DiskDirectory(node.id, node.path, node.modified)
      copies.set(node, directory)
      for (const [name, child] of node.entries) directory.entries.set(name, copyOf(child))
      for (const [name, child] of node.durable) directory.durable.set(name, copyOf(child))
      return directory
    }
    const tree = new DiskTree(directoryOf(this.root), this.nodes, this.at)
    tree.changes = this.changes.map((change) => ({
      ...change,
      node: copyOf(change.node),
      edits: change.edits.map(({ directory, name, node }) => ({
        directory: directoryOf(directory),
        name,
        node: node === null ? null : copyOf(node)
      }))
    }))
    tree.countUsed()
    return tree
  }
}
