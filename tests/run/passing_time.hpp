/// How time passes in a study of schedules. Two definitions, for two programs of the same tests: time that
/// only instructions take (virtual_time.cpp: exact, on any machine), and this host's, slept away
/// (slept_time.cpp: as close as the machine is quiet).
#pragma once

#include <string>

#include "partita/step/program.hpp"

namespace partita::tests {

/// On this rank.
void pass(double seconds);

/// What the executor carries out next; to be called for every instruction.
void tell(const step::Instruction&);

/// Messages reach this rank so much after they were sent, or after they have come.
void delay_messages(double seconds);

/// Messages are not noticed before they are waited for, as where other processes have the cores: what arrives
/// when. False where it is this host that decides.
bool hold_messages(bool until_waited_for);

/// What a figure may differ by from what is expected, relative, and how many attempts it has.
struct Patience {
  double tolerance;
  int attempts;
};
Patience patience();

/// Whether others have the cores, so that a figure that differs says nothing.
bool is_busy();

/// For messages about figures that differ.
std::string state_of_machine();

}  // namespace partita::tests
