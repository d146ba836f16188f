import type { PredictorOptions, Settings } from './options'
import type { Recommender } from './recommender'
import type { Recorder } from './recorder'

export interface PredictorSnapshot {
  version: 1
  options: PredictorOptions
}
export function writeSnapshot(_s: Settings, _r: Recorder, _m: Recommender): PredictorSnapshot {
  return { version: 1, options: { shards: _s.shards } }
}
export function readSnapshot(s: PredictorSnapshot) {
  return { options: s.options, adopt: (_r: Recorder, _m: Recommender) => {} }
}
