/// Each digit's ways of being written, in the order of the digits: straight lines, curves and closed curves.
#include "digit_font.hpp"

#include <array>

#include "partita/base/error.hpp"

namespace partita::data {
namespace {

using enum StrokeForm;
using Ways = std::vector<Glyph>;

// clang-format off
const Stroke lower_bow{curved, {{-.08f, -.02f}, {.38f, -.04f}, {.38f, .5f}, {-.02f, .58f}, {-.3f, .36f}}};

const std::array<Ways, 10>& font() {
  static const std::array<Ways, 10> digits{{
      {// 0: round; narrow
       {{closed, {{.18f, -.52f}, {.34f, -.2f}, {.34f, .2f}, {.18f, .52f}, {-.18f, .52f}, {-.34f, .2f}, {-.34f, -.2f}, {-.18f, -.52f}}}},
       {{closed, {{.12f, -.54f}, {.26f, -.2f}, {.22f, .2f}, {.08f, .54f}, {-.12f, .54f}, {-.26f, .2f}, {-.22f, -.2f}, {-.04f, -.54f}}}}},
      {// 1: a line; with an upstroke; with an upstroke and a foot
       {{straight, {{.0f, -.5f}, {.0f, .5f}}}},
       {{straight, {{-.18f, -.26f}, {.04f, -.5f}, {.04f, .5f}}}},
       {{straight, {{-.16f, -.3f}, {.02f, -.5f}, {.02f, .49f}}}, {straight, {{-.2f, .49f}, {.24f, .49f}}}}},
      {// 2: with a foot; with a loop
       {{curved, {{-.28f, -.28f}, {-.22f, -.55f}, {.3f, -.58f}, {.34f, -.12f}, {-.05f, .2f}, {-.3f, .48f}}},
        {straight, {{-.3f, .48f}, {.32f, .48f}}}},
       {{curved, {{-.28f, -.3f}, {-.15f, -.6f}, {.35f, -.54f}, {.28f, -.05f}, {-.1f, .45f}, {-.38f, .46f}, {-.2f, .16f}, {.05f, .46f}, {.36f, .44f}}}}},
      {// 3: two bows; a flat top
       {{curved, {{-.26f, -.4f}, {-.1f, -.58f}, {.34f, -.5f}, {.3f, -.02f}, {-.08f, -.02f}}}, lower_bow},
       {{straight, {{-.25f, -.48f}, {.25f, -.48f}, {-.04f, -.06f}}}, lower_bow}},
      {// 4: closed; open
       {{straight, {{.14f, .5f}, {.14f, -.5f}, {-.3f, .15f}, {.32f, .15f}}}},
       {{straight, {{-.24f, -.46f}, {-.26f, .02f}, {.26f, .02f}}}, {straight, {{.24f, -.5f}, {.2f, .5f}}}}},
      {// 5: angular; flowing
       {{straight, {{.28f, -.48f}, {-.2f, -.48f}, {-.24f, -.05f}}},
        {curved, {{-.24f, -.05f}, {.02f, -.22f}, {.38f, -.05f}, {.34f, .48f}, {-.06f, .58f}, {-.3f, .38f}}}},
       {{curved, {{.28f, -.5f}, {-.3f, -.52f}, {-.3f, -.02f}, {.24f, -.18f}, {.36f, .3f}, {.06f, .6f}, {-.28f, .42f}}}}},
      {// 6: a tall bow; a straight back
       {{curved, {{.2f, -.5f}, {-.12f, -.4f}, {-.36f, .05f}, {-.26f, .56f}, {.3f, .56f}, {.32f, .05f}, {-.02f, -.04f}, {-.26f, .22f}}}},
       {{straight, {{.02f, -.5f}, {-.22f, .2f}}},
        {closed, {{-.26f, .3f}, {-.16f, .54f}, {.24f, .54f}, {.32f, .2f}, {.06f, .0f}, {-.22f, .12f}}}}},
      {// 7: plain; with a bar; with a serif
       {{straight, {{-.28f, -.46f}, {.28f, -.46f}, {-.06f, .5f}}}},
       {{straight, {{-.28f, -.46f}, {.28f, -.46f}, {-.06f, .5f}}}, {straight, {{-.12f, .02f}, {.24f, .02f}}}},
       {{straight, {{-.28f, -.3f}, {-.26f, -.47f}}}, {curved, {{-.26f, -.46f}, {.3f, -.46f}, {.06f, .0f}, {.0f, .5f}}}}},
      {// 8: one crossing stroke; two rings
       {{closed, {{.26f, -.54f}, {-.26f, -.54f}, {-.3f, -.14f}, {.3f, .12f}, {.34f, .56f}, {-.34f, .56f}, {-.3f, .12f}, {.3f, -.14f}}}},
       {{closed, {{.22f, -.52f}, {-.22f, -.52f}, {-.26f, -.1f}, {.26f, -.1f}}},
        {closed, {{.28f, -.04f}, {-.28f, -.04f}, {-.34f, .54f}, {.34f, .54f}}}}},
      {// 9: a straight stem; a hooked one
       {{closed, {{.24f, -.46f}, {-.1f, -.58f}, {-.32f, -.28f}, {-.14f, .02f}, {.22f, -.08f}}},
        {straight, {{.23f, -.4f}, {.2f, .5f}}}},
       {{closed, {{.24f, -.48f}, {-.14f, -.56f}, {-.32f, -.26f}, {-.1f, .04f}, {.24f, -.1f}}},
        {curved, {{.22f, -.4f}, {.32f, .2f}, {.12f, .58f}, {-.24f, .4f}}}}},
  }};
  return digits;
}
// clang-format on

}  // namespace

std::span<const Glyph> glyphs_of(int digit) {
  base::expect(digit >= 0 && digit <= 9, "a digit is 0 to 9", digit);
  return font()[static_cast<std::size_t>(digit)];
}

}  // namespace partita::data
