/// Kind, phase, layer and micro-batch of an instruction in 64 bits, which the watchdog shows, and the words
/// that a report makes of them on any rank.
#include "partita/step/position.hpp"

#include <array>
#include <bit>

namespace partita::step {
namespace {

/// The word: numbers are counted from 1, so that 0 is none.
struct Fields {
  std::uint8_t kind = 0, phase = 0;
  std::uint8_t fused_relu = 0, training = 0;
  std::uint16_t layer = 0, microbatch = 0;
};
static_assert(sizeof(Fields) == sizeof(std::uint64_t));

}  // namespace

std::uint64_t position_of(const Program& program, const Instruction& instruction) {
  Fields fields{.kind = static_cast<std::uint8_t>(static_cast<int>(instruction.kind) + 1),
                .phase = static_cast<std::uint8_t>(instruction.phase),
                .training = program.training,
                .microbatch = static_cast<std::uint16_t>(
                    instruction.microbatch ? instruction.microbatch->value() + 1 : 0)};
  if (instruction.unit) {
    const auto& unit = program.units[*instruction.unit];
    fields.layer = static_cast<std::uint16_t>(unit.layer + 1);
    fields.fused_relu = unit.fused_relu;
  }
  return std::bit_cast<std::uint64_t>(fields);
}

std::string name_of_position(std::uint64_t position, const std::vector<std::string>& layers) {
  const auto fields = std::bit_cast<Fields>(position);
  if (fields.kind == 0) return {};
  std::string text = "in `" + std::string(to_string(static_cast<Kind>(fields.kind - 1)));
  if (fields.layer > 0 && fields.layer <= layers.size())
    text += " " + layers[fields.layer - 1U] + (fields.fused_relu ? "+relu" : "");
  if (fields.phase > 0) text += " " + std::string(to_string(static_cast<Phase>(fields.phase)));
  if (fields.microbatch > 0) text += " mb " + std::to_string(fields.microbatch - 1);
  return text + "`" + (fields.training ? "" : " of an evaluation");
}

}  // namespace partita::step
