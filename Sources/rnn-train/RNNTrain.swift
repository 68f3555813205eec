/// `rnn-train`: trains a language model on a text; `rnn-train sample`: lets it write.
@main
enum RNNTrain {
  static func main() {
    // Not ArgumentParser's subcommands: training takes files where they would take a command's name.
    if CommandLine.arguments.dropFirst().first == "sample" {
      SampleCommand.launch(Array(CommandLine.arguments.dropFirst(2)))
    }
    TrainCommand.launch()
  }
}
