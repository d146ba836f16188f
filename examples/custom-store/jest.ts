import { test } from '@jest/globals'
import { testFileStore } from './suite'

testFileStore(test)
