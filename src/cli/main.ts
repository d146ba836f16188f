#!/usr/bin/env node
import { systemClock } from '../clock'
import { foreshard } from './foreshard'

// Whoever reads the output may stop early, as `head` does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 3)
})

const { stdin, stdout, stderr } = process
process.exitCode = await foreshard(process.argv.slice(2), { stdin, stdout, stderr, clock: systemClock })
