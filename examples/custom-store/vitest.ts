import { test } from 'vitest'
import { testFileStore } from './suite'

testFileStore(test)
