/**
 * A transcript, in the manner of etcd raft's testdata: sentences of English, commands, and after each command a line
 * and the trace that must follow.
 *
 *     # "What is shown", in the words of the document.
 *
 *     open a b
 *     ----
 *     a owns #0 @1
 */
export interface Transcript {
  /** What it shows: the comment that the file opens with. */
  readonly title: string
  readonly acts: readonly Act[]
}

export interface Act {
  /** The comment before the command, as it stands in the file; '' where there is none. */
  readonly comment: string
  readonly command: string
  /** What followed when it was written down. */
  readonly trace: readonly string[]
}

const LINE = '----'

export function parseTranscript(text: string): Transcript {
  const blocks = text.trim().split(/\n\s*\n/)
  const title = blocks[0] ?? ''
  if (!title.split('\n').every(isComment))
    throw new Error('a transcript opens with a comment that says what it shows')
  const acts: Act[] = []
  let comments: string[] = []
  for (const block of blocks.slice(1)) {
    const lines = block.split('\n')
    if (lines.every(isComment)) {
      comments.push(block)
      continue
    }
    if (lines.length > 1 && lines[1] !== LINE)
      throw new Error(`a line ${LINE} belongs under ${JSON.stringify(lines[0])}`)
    acts.push({ comment: comments.join('\n\n'), command: lines[0]!.trim(), trace: lines.slice(2) })
    comments = []
  }
  if (comments.length > 0) throw new Error('the transcript ends with a comment; a command belongs under it')
  return { title, acts }
}

export function formatTranscript({ title, acts }: Transcript): string {
  const blocks = [title]
  for (const { comment, command, trace } of acts) {
    if (comment) blocks.push(comment)
    blocks.push([command, LINE, ...trace].join('\n'))
  }
  return `${blocks.join('\n\n')}\n`
}

/** The sentences of the document, and the names, that the title quotes. */
export function quotedIn(title: string): string[] {
  const text = title
    .split('\n')
    .map((line) => line.slice(1).trim())
    .join(' ')
  return [...text.matchAll(/"([^"]+)"/g)].map(([, sentence]) => sentence!)
}

function isComment(line: string): boolean {
  return line.startsWith('# ') || line === '#'
}
