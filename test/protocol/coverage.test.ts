import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { BROKEN_RULES } from './broken-rules'
import { parseTranscript, quotedIn } from './language/transcript'

/** The parts of docs/protocol.md in which every sentence is a promise, and needs a transcript that quotes it. */
const PROMISING = ['One client operation', 'The handoff of a segment', 'Split and merge', 'Invariants']

/** Sentences there that promise nothing: they say what is spoken of, or why. */
const EXPLAINING = [
  'One atomic step on one shard, naming segment and epoch, with the proof of a commit if the caller was shown one:',
  'Without this rule a late purge of a tag that has since been merged takes its keys out of the retained bucket, and a rollback builds on what is missing.',
  'A judge looks for I1 to I4 and I6 on all shards after every command of every transcript, and the traces would say `BROKEN`.',
  'Abort, any time before 7.',
  'Takeover: draw a higher ticket, read the fences, go on.',
]

/** docs/protocol.md, "What goes wrong without each rule": the faults of the model, and ours. */
const FAULTS =
  'ABORTB PREPFIRST REEXPORT NOBATCH FORGET SAMETERM NOTRACE NOINTACT NOBASESEQ PREPEPOCH NLATE LOGORDER NODELLOG HOLDCUT ' +
  'CLEARTRACE NOSWEEP PURGEANY CUTTICKET DISCARDANY SPLITEXPORT SPLITEPOCH1 FENCEPERSEG NOSPLITEPOCH PROTMOVED KEEPSTALETAG ' +
  'KEEPSTALEBUCKET NOSPOIL LOSTORDER ACTEPOCH PURGEEPOCH CUTEPOCH'

/** Failures that others have had. */
const FAILURES = 'F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 F11'

const page = readFileSync(resolve(import.meta.dirname, '../../docs/protocol.md'), 'utf8')
const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.txt'))
const titles = new Map(
  files.map((name) => [name, parseTranscript(readFileSync(join(import.meta.dirname, name), 'utf8')).title]),
)
const quoted = new Set([...titles.values()].flatMap(quotedIn))

/** The sentences of a part of the page, without markup, numbers of steps, and links to transcripts. */
function sentencesOf(part: string): string[] {
  const text = part
    .replaceAll(/\(?\[shown\]\([^)]*\)\)?/g, '')
    .replaceAll(/^\|[-|]+\|$/gm, '')
    .replaceAll(/^\| (.*?) \|\s*\|$/gm, '\n\n$1\n\n')
    .replaceAll(/^\d+\. (\*\*[^*]*\*\*)?/gm, '\n\n')
    .replaceAll('**', '')
  return text
    .split(/\n\s*\n/)
    .flatMap((block) => block.replaceAll(/\s+/g, ' ').split(/(?<=\.) (?=[A-Z`n])/))
    .map((it) => it.trim())
    .filter((it) => it !== '' && it !== 'A | B | do')
}

describe('docs/protocol.md', () => {
  for (const heading of PROMISING)
    it(`"${heading}": a transcript quotes every promise`, () => {
      const [part] = page.split(/^## /m).filter((it) => it.startsWith(heading))
      const sentences = sentencesOf(part!.slice(part!.indexOf('\n')))
      expect(sentences.length).toBeGreaterThan(4)
      const shown = sentences.filter((it) => !EXPLAINING.includes(it))
      expect(shown.filter((it) => !quoted.has(it) && !quoted.has(it.replaceAll('"', "'")))).toEqual([])
    })

  it('contains every sentence that a transcript quotes, and links every transcript', () => {
    const plain = page
      .replaceAll(/\(?\[shown\]\([^)]*\)\)?/g, '')
      .replaceAll('**', '')
      .replaceAll('"', "'")
      .replaceAll(/\s+/g, ' ')
    expect([...quoted].filter((it) => !plain.includes(it))).toEqual([])
    expect(files.filter((name) => !page.includes(`(../test/protocol/${name})`))).toEqual([])
  })

  it('has a transcript, and a broken rule, for every fault of the model', () => {
    expect(Object.keys(BROKEN_RULES).sort()).toEqual(FAULTS.split(' ').sort())
    for (const name of FAULTS.split(' ')) expect(titles.get(`fault-${name}.txt`)).toMatch(`# ${name}: `)
  })

  it('has a transcript for every failure that others have had', () => {
    for (const name of FAILURES.split(' ')) {
      const [file] = files.filter((it) => it.startsWith(`${name}-`))
      expect(titles.get(file!), name).toMatch(`# ${name}: `)
    }
  })
})

describe('a transcript', () => {
  it('shows a breach only where somebody keeps to no protocol', () => {
    const broken = files.filter((name) =>
      readFileSync(join(import.meta.dirname, name), 'utf8').includes('\nBROKEN '),
    )
    expect(broken).toEqual(['fault-ACTEPOCH.txt', 'takeover-conflict.txt'])
  })
})
