// Package upstream is the one HTTP path from wisp to the clouds. Every exchanger sends its requests
// through a [Transport], so that what must hold for all of them is written once: https only,
// certificates verified, redirects refused, nothing read without a bound, every wait with an end.
//
// It also holds what exchangers share when a request fails: [NetworkError] and [StatusError] sort
// failures into a [refresher.Class], and [Clean] makes text that came from a service fit to print.
package upstream
