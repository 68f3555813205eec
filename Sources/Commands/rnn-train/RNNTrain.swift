import ArgumentParser

/// `rnn-train`: trains a language model on a text; `rnn-train sample`: lets it write;
/// `rnn-train plot`: draws its log.
@main
enum RNNTrain {
  static func main() {
    let arguments = CommandLine.arguments.dropFirst()
    // Not ArgumentParser's subcommands: training takes files where they would take a command's name.
    if arguments.first == "sample" {
      SampleCommand.launch(Array(arguments.dropFirst()))
    }
    if arguments.first == "plot" {
      PlotCommand.launch(Array(arguments.dropFirst()))
    }
    if arguments.first == "--generate-completion-script", arguments.last != "bash" {
      AllCommands.main()
      return
    }
    TrainCommand.launch()
  }
}

/// All commands in one, for completions alone.
private struct AllCommands: ParsableCommand {
  static let configuration = {
    var configuration = TrainCommand.configuration
    configuration.subcommands = [SampleCommand.self, PlotCommand.self]
    return configuration
  }()

  // Without the files: they would stand where the command's name is expected.
  @OptionGroup var plan: PlanOptions
  @OptionGroup var run: RunOptions
}
