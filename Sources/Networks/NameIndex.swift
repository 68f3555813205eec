import RNNEngine
import Tensors

/// The names of a file that a layout's templates match, by the prefix before them: one pass for each layout, however many
/// modules there are.
package final class NameIndex {
  /// A name with its place in the module.
  package typealias Place = (name: Name, layer: Int, direction: Int)

  private var tables: [String: [Name: [Place]]] = [:]

  /// Where the names of a module stand, in file order.
  package func places(
    _ prefix: String, of layout: ModuleLayout, _ convention: Convention, _ state: StateDict
  ) -> [Place] {
    let key =
      "\(convention.name) \(layout.kind.rawValue) \(layout.spelling) \(layout.cells.count) \(layout.tensors[0].bands[0].gates ?? [])"
    if tables[key] == nil {
      var table: [Name: [Place]] = [:]
      for name in state.names {
        for template in layout.tensors {
          guard let match = template.matched(name.string, layout) else { continue }
          table[Name(match.prefix), default: []].append((name, match.layer, match.direction))
          break
        }
      }
      tables[key] = table
    }
    return tables[key]?[Name(prefix)] ?? []
  }
}
