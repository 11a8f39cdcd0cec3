// One environment of the demo's size: first it is changed under load, then the scripts ask it.
import './traffic.ts'
import './scripts.ts'
