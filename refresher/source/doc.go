// Package source holds the places a subject token comes from: one kind of [refresher.Source] per
// file. Sources know nothing of clouds, nor of what becomes of the token.
package source
