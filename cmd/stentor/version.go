package main

import "runtime/debug"

// version tells what was built: the module's version where it was installed as one, else the commit.
func version() string {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return describe(build)
}

func describe(build *debug.BuildInfo) string {
	v := build.Main.Version
	if v == "" || v == "(devel)" {
		v = "devel"
		for _, s := range build.Settings {
			if s.Key == "vcs.revision" {
				v += "+" + s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return v + " " + build.GoVersion
}
