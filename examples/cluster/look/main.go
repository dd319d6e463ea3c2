// Command look is a container's program that tells what the container sees: per argument, the names in a directory,
// the length of a file (its text with a < before the path), the variable after a $, or why there is none of it.
package main

import (
	"fmt"
	"os"
	"strings"
)

func main() {
	for _, at := range os.Args[1:] {
		fmt.Printf("%s: %s\n", at, look(at))
	}
}

func look(at string) string {
	if name, ok := strings.CutPrefix(at, "$"); ok {
		value, set := os.LookupEnv(name)
		if !set {
			return "not set"
		}
		return value
	}
	if path, ok := strings.CutPrefix(at, "<"); ok {
		text, err := os.ReadFile(path)
		if err != nil {
			return err.Error()
		}
		return strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile(at); err == nil {
		return fmt.Sprintf("%d bytes", len(text))
	}
	entries, err := os.ReadDir(at)
	if err != nil {
		return err.Error()
	}
	if len(entries) == 0 {
		return "an empty directory"
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}
