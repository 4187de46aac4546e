/// What a view throws: out of line, so that kernels need not read the standard exceptions.
#include "partita/kernels/view.hpp"

#include <stdexcept>

namespace partita::kernels {

void refuse_element_type() { throw std::logic_error("a view was read as another element type"); }
void refuse_slice() { throw std::out_of_range("a slice leaves its view"); }

}  // namespace partita::kernels
