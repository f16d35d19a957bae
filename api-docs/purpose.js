/**
 * For TypeDoc: the comment at the top of a file is its module's, without a tag that says so; and whatever is exported has a
 * sentence that says what it is for, not only a category. Optional members of options say their default.
 */
import * as Fs from "node:fs"
import { Comment, Converter, MinimalSourceFile, ReflectionKind } from "typedoc"

const leading = /^\/\*\*[^]*?\*\//

/** @param {import("typedoc").Application} app */
export function load(app) {
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (context, reflection) => {
    if (reflection.kind !== ReflectionKind.Module || reflection.comment !== undefined) return
    const path = context.getSymbolFromReflection(reflection)?.declarations?.[0]?.getSourceFile().fileName
    const comment = path === undefined ? null : leading.exec(Fs.readFileSync(path, "utf8"))?.[0]
    if (!comment) return
    const text = comment.slice(3, -2).replace(/^[ \t]*\* ?/gm, "").replace(/^@\w+.*$/gm, "").trim()
    const { content } = app.converter.parseRawComment(new MinimalSourceFile(text, path), context.project.files)
    reflection.comment = new Comment(content)
  })

  app.converter.on(Converter.EVENT_RESOLVE_END, ({ project }) => {
    const exported = ReflectionKind.Class | ReflectionKind.Interface | ReflectionKind.TypeAlias |
      ReflectionKind.Function | ReflectionKind.Variable
    const says = (reflection) =>
      (reflection.comment?.summary.length ?? 0) > 0 ||
      (reflection.signatures ?? reflection.type?.declaration?.signatures ?? []).some(says)
    for (const module of project.children ?? []) {
      for (const child of module.children ?? []) {
        if (!child.kindOf(exported)) continue
        // A type and the schema of its name are one thing.
        if (module.children.some((other) => other.name === child.name && says(other))) continue
        app.logger.warn(`${module.name}.${child.name} has no sentence that says what it is for`)
      }
      for (const child of module.children ?? []) {
        if (!child.kindOf(ReflectionKind.Interface) || !/(?:Options|Config)$/.test(child.name)) continue
        const listed = (child.comment?.summary ?? []).map((part) => part.text).join("")
        for (const option of child.children ?? []) {
          // Told where it is declared, by itself or in a list of all.
          if (option.inheritedFrom !== undefined || listed.includes(`\`${option.name}\``)) continue
          const text = (option.comment?.summary ?? option.signatures?.[0]?.comment?.summary ??
            option.type?.declaration?.signatures?.[0]?.comment?.summary ?? []).map((part) => part.text).join("")
          const name = `${module.name}.${child.name}.${option.name}`
          if (option.flags.isOptional && !/default/i.test(text)) app.logger.warn(`${name} does not say its default`)
        }
      }
    }
  })
}
