import ArgumentParser
import Recurrent

/// What bash offers behind a tool's name: options where a word begins with a dash, their values behind them,
/// files everywhere else.
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

    \(function)_words() { COMPREPLY=($(compgen -W "$1" -- "$cur")); }

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
    guard !subcommands.isEmpty else { return body(table, indent: "  ") }
    var text = "  case ${COMP_WORDS[1]} in\n"
    for (name, table) in subcommands {
      text += "  \(name))\n    if [[ $COMP_CWORD -gt 1 ]]; then\n"
      text += body(table, indent: "      ") + "      return\n    fi ;;\n"
    }
    text += "  esac\n" + body(table, indent: "  ")
    let names = subcommands.map(\.name).joined(separator: " ")
    return text
      + "  if [[ $COMP_CWORD -eq 1 && $cur != -* ]]; then"
      + " COMPREPLY+=($(compgen -W '\(names)' -- \"$cur\")); fi\n"
  }

  private func body(_ table: OptionTable, indent: String) -> String {
    var text = indent + "case $prev in\n"
    for option in table.options where option.placeholder != nil {
      let action: String
      switch option.value {
      case .words(let words): action = "\(function)_words '\(words.joined(separator: " "))'"
      case .file(let extensions): action = ([function + "_files"] + extensions).joined(separator: " ")
      case .text: action = "compopt +o default 2>/dev/null"
      }
      text += "\(indent)\(option.names.joined(separator: " | "))) \(action); return ;;\n"
    }
    let names = table.options.map { $0.names[0] }.joined(separator: " ")
    text += indent + "esac\n"
    text += indent + "if [[ $cur = -* ]]; then\n"
    text += indent + "  \(function)_words '\(names)'\n"
    text += indent + "else\n"
    text += indent + "  \(function)_files\n"
    return text + indent + "fi\n"
  }
}
