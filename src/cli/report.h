#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "mneme/engine.h"

namespace mneme::cli {

std::string bytes_text(uint64_t bytes);           // "1.2 GiB"
std::string duration_text(double seconds);        // "42.0 ms", "1.42 s", "12:34", "1:02:03"
double per_second(size_t count, double seconds);  // 0 where no time passed

// Tokens a second after the first new token; the first belongs to the prefill.
double decode_speed(const GenerateReport& report);

// "prefill ... decode ... peak memory ... KV ...", one line for a person.
std::string summary_text(const Engine& engine, const GenerateReport& report);
// " | found 4096 tokens | hot ... warm ..." or nothing where there is no cold tier; and as JSON.
std::string storage_text(const Engine& engine, const Session& session);
nlohmann::ordered_json tiers_json(const Engine& engine);
nlohmann::ordered_json storage_json(const Engine& engine, const Session& session);
// "adaptive attention: ..." of the steps so far, or nothing where it is exact; and as JSON.
std::string attention_text(const AttentionReport& report);
nlohmann::ordered_json attention_json(const AttentionReport& report);
std::string stop_name(StopReason reason);

// Never throws: bytes that are no UTF-8 become U+FFFD.
std::string json_text(const nlohmann::ordered_json& value, int indent = 2);

}  // namespace mneme::cli
