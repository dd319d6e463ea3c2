// Package refresher is wisp's vocabulary and engine.
//
// A workload proves who it is with a [Token]; a cloud gives back a [Credential]; everything else is
// on one side or the other of those two values. A [Source] yields Tokens, an [Exchanger] turns a
// Token into a Credential, a [Refresher] keeps one Credential fresh, and an [Identity] is a named
// pair of Source and Exchanger with its Refreshers. Sources know no clouds; exchangers know no
// sources and no endpoints; endpoints know only Credentials.
//
// The package holds the one retry loop and the one scheduler of the program. It knows no cloud, no
// SDK, no HTTP and no file: a new cloud, source or endpoint is a new package beside it and does not
// touch this one.
//
// # Time
//
// Every deadline is kept on two clocks, see [Clock]: the wall clock, because expiries are published
// in it, and an elapsed-time clock, because the wall clock can be wrong or be stepped. Whichever
// says "expired" first is believed.
package refresher
