// Lifetime: lets work that was given away find out, when it comes back, whether its owner is there.
//
// A member of the owner, as `Lifetime<T> lifetime_{this}`. What guarded() wraps gets the owner as
// its first argument, and is not called once the owner is gone. Owner and callbacks belong to one
// thread; the wrapped work may be carried, copied and dropped by others.
#pragma once

#include <memory>
#include <utility>

namespace bib::engine {

template <typename Owner>
class Lifetime {
 public:
  explicit Lifetime(Owner* owner) : owner_(std::make_shared<Owner*>(owner)) {}
  Lifetime(const Lifetime&) = delete;
  Lifetime& operator=(const Lifetime&) = delete;

  // `work(Owner&, arguments...)`, to be called as (arguments...). It may destroy the owner.
  template <typename Work>
  auto guarded(Work work) const {
    return [weak = std::weak_ptr<Owner*>(owner_),
            work = std::move(work)](auto&&... arguments) mutable {
      Owner* owner = nullptr;
      // Let go of before the call, which may destroy the owner and then meet other guarded work.
      if (const auto held = weak.lock()) owner = *held;
      if (owner != nullptr) work(*owner, std::forward<decltype(arguments)>(arguments)...);
    };
  }

 private:
  std::shared_ptr<Owner*> owner_;  // expires with the owner
};

}  // namespace bib::engine
