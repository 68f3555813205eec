import ArgumentParser
import Recurrent

/// What bash offers behind a tool's name: options where a word begins with a dash or no file is wanted any more, their
/// values behind them, files everywhere else.
struct BashCompletion {
  private let name: String
  private let table: OptionTable
  private let subcommands: [(name: String, table: OptionTable)]

  init(_ name: String, _ table: OptionTable, subcommands: [(name: String, table: OptionTable)]) {
    (self.name, self.table, self.subcommands) = (name, table, subcommands)
  }

  private var function: String { "_" + name.map { $0 == "-" ? "_" : String($0) }.joined() }

  var script: String {
    """
    # bash completion for \(name); made by \(name) --generate-completion-script bash

    \(function)_files() { # EXTENSION...: files and directories that begin with the current word
      local file extension
      while IFS= read -r file; do
        if [[ $# -eq 0 || -d $file ]]; then COMPREPLY+=("$file"); continue; fi
        for extension; do [[ $file = *.$extension ]] && COMPREPLY+=("$file"); done
      done < <(compgen -f -- "$cur")
    }

    \(function)_words() { COMPREPLY+=($(compgen -W "$1" -- "$cur")); }

    \(function)_count() { # FIRST OPTION...: how many words from FIRST on are no options and no options' values
      local position=$1 count=0 option
      shift
      while [[ $position -lt $COMP_CWORD ]]; do
        for option; do
          if [[ ${COMP_WORDS[position]} = "$option" ]]; then
            if [[ ${COMP_WORDS[position + 1]} = = ]]; then position=$((position + 1)); fi
            position=$((position + 2))
            continue 2
          fi
        done
        if [[ ${COMP_WORDS[position]} != -* ]]; then count=$((count + 1)); fi
        position=$((position + 1))
      done
      echo "$count"
    }

    \(function)() {
      local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} word
      COMPREPLY=()
      # bash takes --option=value for three words.
      if [[ $cur = = ]]; then cur=; elif [[ $prev = = ]]; then prev=${COMP_WORDS[COMP_CWORD - 2]}; fi
      for word in "${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do
        if [[ $word = -- ]]; then \(function)_files; return; fi
      done
    \(dispatch)}

    complete -o default -o filenames -F \(function) \(name)

    """
  }

  private var dispatch: String {
    guard !subcommands.isEmpty else { return body(table, first: 1, indent: "  ") }
    var text = ""
    for (name, table) in subcommands {
      text += "  if [[ ${COMP_WORDS[1]} = \(name) && $COMP_CWORD -gt 1 ]]; then\n"
      text += body(table, first: 2, indent: "    ") + "    return\n  fi\n"
    }
    text += body(table, first: 1, indent: "  ")
    let names = subcommands.map(\.name).joined(separator: " ")
    return text
      + "  if [[ $COMP_CWORD -eq 1 && $cur != -* ]]; then \(function)_words '\(names)'; fi\n"
  }

  private func body(_ table: OptionTable, first: Int, indent: String) -> String {
    var lines = ["case $prev in"]
    var free: [String] = []
    for option in table.options where option.placeholder != nil {
      let names = option.names.joined(separator: " | ")
      switch option.value {
      case .words(let words):
        lines.append("\(names)) \(function)_words '\(words.joined(separator: " "))'; return ;;")
      case .file(let extensions):
        let call = ([function + "_files"] + extensions).joined(separator: " ")
        lines.append("\(names)) \(call); return ;;")
      case .text: free += option.names
      }
    }
    if !free.isEmpty {
      // Nothing to offer, file names neither.
      lines.append("\(free.joined(separator: " | "))) compopt +o default 2>/dev/null; return ;;")
    }
    lines.append("esac")
    let taking = table.options.filter { $0.placeholder != nil }.flatMap(\.names)
    let isOpen = table.positionals.contains(where: \.isRepeating)
    let count = "$(\(function)_count \(first) \(taking.joined(separator: " ")))"
    let limit = isOpen ? 2 : table.positionals.count
    let options = table.options.map { $0.names[0] }.joined(separator: " ")
    lines += [
      "local options='\(options)' count",
      "count=\(count)",
      "if [[ $cur = -* || -z $cur && $count -ge \(limit) ]]; then \(function)_words \"$options\"; fi",
      isOpen
        ? "if [[ $cur != -* ]]; then \(function)_files; fi"
        : "if [[ $cur != -* && $count -lt \(limit) ]]; then \(function)_files; fi",
    ]
    return lines.map { indent + $0 + "\n" }.joined()
  }
}
