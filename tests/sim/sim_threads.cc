#include "sim_threads.h"

#include <algorithm>
#include <utility>

namespace bib::sim {

namespace {

constexpr std::uint64_t kJobChangesMax = 30;  // a crash in a job comes within so many

// Healthy machines do not take as long as they may.
Time work_time(World& world, Time most) {
  const Time longest = std::max<Time>(most, 20 * kMillisecond);
  return 10 + world.random.below(world.faults_are_on ? longest : kMillisecond);
}

// False: the process dies of it.
bool do_work(SimMachine& machine, const std::function<void()>& work) {
  World& world = machine.world();
  const bool dies =
      world.faults_are_on && world.random.chance_ppm(world.plan.snapshots.die_in_job_ppm);
  if (dies) machine.disk().crash_after(world.random.between(1, kJobChangesMax));
  work();
  if (!dies && !machine.disk().crashed()) return true;
  world.trace.line(machine.name(), "dies in a job");
  machine.die_after_step(machine.some_death());
  return false;
}

}  // namespace

void SimPool::run(std::function<void()> work, std::function<void()> done) {
  if (machine_.is_dying()) return;  // pins that go with the process let snapshots go
  const std::uint32_t number = next_job_++;
  jobs_.emplace(number, SimJob{std::move(work), std::move(done)});
  World& world = machine_.world();
  machine_.after(work_time(world, world.plan.snapshots.job_max), [this, number] { step(number); });
}

void SimPool::step(std::uint32_t number) {
  SimJob& job = jobs_.at(number);
  if (!job.has_worked) {
    job.has_worked = true;
    if (!do_work(machine_, job.work)) return;
    job.work = nullptr;
    machine_.after(machine_.world().random.between(10, kMillisecond),
                   [this, number] { step(number); });
    return;
  }
  const std::function<void()> done = std::move(job.done);
  jobs_.erase(number);
  done();
}

void SimPool::end_halfway() {
  wire::Prng& random = machine_.world().random;
  for (const auto& [number, job] : jobs_) {
    if (job.has_worked || random.below(3) == 0) continue;
    if (random.below(2) == 0) {
      machine_.disk().crash_after(random.between(1, kJobChangesMax));
      job.work();
      machine_.disk().crash_after(0);
      return;
    }
    job.work();
  }
}

void SimStoreThread::run(std::function<void()> work, std::function<void()> done) {
  if (machine_.is_dying() || stopped_) return;
  BIB_CHECK(!job_, "the store's thread is given a second job");
  job_ = SimJob{std::move(work), std::move(done)};
  World& world = machine_.world();
  machine_.after(work_time(world, world.plan.snapshots.make_max), [this] { step(); });
}

void SimStoreThread::step() {
  if (stopped_ || !job_) return;
  if (!job_->has_worked) {
    job_->has_worked = true;
    if (!do_work(machine_, job_->work)) return;
    job_->work = nullptr;
    // RocksDB flushes when it likes.
    wire::Prng& random = machine_.world().random;
    if (store_.is_open() && random.below(4) == 0) (void)store_.flush();
    machine_.after(random.between(10, kMillisecond), [this] { step(); });
    return;
  }
  const std::function<void()> done = std::move(job_->done);
  job_.reset();
  done();
}

void SimStoreThread::stop() {
  stopped_ = true;
  if (job_ && !job_->has_worked) job_->work();
  job_.reset();
}

void SimStoreThread::end_halfway() {
  if (stopped_ || !job_ || job_->has_worked) return;
  wire::Prng& random = machine_.world().random;
  if (random.below(2) == 0) return;
  machine_.disk().crash_after(random.between(1, kJobChangesMax));
  job_->work();
  machine_.disk().crash_after(0);
}

}  // namespace bib::sim
