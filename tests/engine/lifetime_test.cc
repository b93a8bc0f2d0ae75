#include "engine/ports/lifetime.h"

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <vector>

using namespace bib::engine;

namespace {

struct Owner {
  std::vector<int> got;
  Lifetime<Owner> lifetime{this};
};

}  // namespace

TEST_CASE("guarded work gets its owner and the arguments, and is dropped once the owner is gone") {
  auto owner = std::make_unique<Owner>();
  int calls = 0;
  const std::function<void(int)> work = owner->lifetime.guarded([&calls](Owner& self, int value) {
    ++calls;
    self.got.push_back(value);
  });
  work(3);
  work(4);
  CHECK(owner->got == std::vector<int>{3, 4});
  owner.reset();
  work(5);
  CHECK(calls == 2);
}

TEST_CASE("guarded work may destroy its owner, and what it calls after that is dropped") {
  auto owner = std::make_unique<Owner>();
  bool called = false;
  const std::function<void()> inner = owner->lifetime.guarded([&](Owner&) { called = true; });
  const std::function<void()> outer = owner->lifetime.guarded([&](Owner&) {
    owner.reset();
    inner();
  });
  outer();
  CHECK_FALSE(called);
}
