// Package chart holds the chart charts/wisp to what it promises, without a cluster: what it renders, what it refuses,
// and that both Helms agree.
package chart
