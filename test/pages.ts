import { readdirSync } from 'node:fs'
import { resolve } from 'node:path'

/** Every page that a reader of the project meets, from its root. */
export function pages(): string[] {
  const documents = readdirSync(resolve(import.meta.dirname, '../docs'), {
    recursive: true,
    encoding: 'utf8',
  })
  return ['README.md', ...documents.filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)]
}
