import { writeFileSync } from 'node:fs'
import { PAGE_FILE, pageModule } from './page-build'

writeFileSync(PAGE_FILE, await pageModule())
