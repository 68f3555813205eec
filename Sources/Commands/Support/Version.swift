/// What `--version` prints; the same for all tools of one build.
public let toolVersion = "0.1.0"
