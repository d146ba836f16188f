import { test } from 'node:test'
import { testFileStore } from './suite'

testFileStore(test)
