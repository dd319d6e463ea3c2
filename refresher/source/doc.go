// Package source holds the places a subject token comes from: one kind of [refresher.Source] per
// file. Sources know nothing of what becomes of the token; some know the platform that gives it out. Those
// that ask over HTTP share [service], which sees to it that what they hear does not pass for the words of the
// cloud that the token is for.
package source
