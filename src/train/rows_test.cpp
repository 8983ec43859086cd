// Rows of tokens: what of them is learned, and that conversations look as the template writes them.
#include <gtest/gtest.h>

#include <sstream>

#include "corpus/vocabulary.h"
#include "model/chat_template.h"
#include "model/jinja_json.h"
#include "tasks/json.h"
#include "tasks/text.h"
#include "train/batches.h"

namespace mneme::train {
namespace {

// What rows are made of.
struct RowsOf {
  corpus::Vocabulary vocabulary = *corpus::Vocabulary::make({}, 320);
  decltype(vocabulary.tokenizer()) tokenizer = vocabulary.tokenizer();
  tasks::SyntheticText text{3, 1 << 15};

  Batch make(const RowOptions& options, uint64_t seed, uint64_t number, int rows) const {
    return RowMaker(*tokenizer, text, options).make(seed, number, rows);
  }
};

TEST(Rows, DependOnSeedAndNumberAlone) {
  const RowsOf rows;
  RowOptions options;
  options.tokens = 777;
  const Batch a = rows.make(options, 1, 5, 4), b = rows.make(options, 1, 5, 2),
              c = rows.make(options, 2, 5, 2);
  EXPECT_TRUE(torch::equal(a.tokens.narrow(0, 0, 2), b.tokens));
  EXPECT_FALSE(torch::equal(b.tokens, c.tokens));
  EXPECT_EQ(a.tokens.size(1), 777);
  // the target is the next token
  EXPECT_TRUE(torch::equal(a.tokens.narrow(1, 1, 776), a.targets.narrow(1, 0, 776)));
  EXPECT_GT((a.weights == 1).sum().item<int64_t>(), 0);
  EXPECT_LT(a.tokens.max().item<int64_t>(), 320);
}

// What is recited is learned, and its answers are; what lost its thought and what the prompt says are not.
TEST(Rows, TellWhatLeadsToAnAnswer) {
  const RowsOf rows;
  RowOptions options;
  options.tokens = 2048, options.task_share = 1, options.context_weight = 0;
  options.mixture = {{tasks::TaskKind::kPasskey, 1.0}};
  const model::TokenId think = *rows.vocabulary.special("<think>"),
                       end = *rows.vocabulary.special("</think>");
  const auto count = [&](const Batch& batch, model::TokenId token, bool learned) {
    return ((batch.targets == token) & (batch.weights > 0).eq(learned)).sum().item<int64_t>();
  };
  const Batch batch = rows.make(options, 1, 0, 40);
  EXPECT_GT(count(batch, think, true), 80);
  EXPECT_EQ(count(batch, think, true), count(batch, end, true));
  EXPECT_GT(count(batch, think, false), 0);
  EXPECT_EQ(count(batch, think, false), count(batch, end, false));
  EXPECT_GT(count(batch, *rows.vocabulary.special("<|im_end|>"), true), count(batch, end, true));
  options.recitals = false;
  const Batch plain = rows.make(options, 1, 0, 8);
  EXPECT_EQ((plain.targets == think).sum().item<int64_t>(), 0);
  EXPECT_GT(count(plain, *rows.vocabulary.special("<|im_end|>"), true), 10);
}

// A question that has no text is told so, one about a sentence or two, or nothing but a record, is answered.
TEST(Rows, TellThatThereIsNoText) {
  const RowsOf rows;
  RowOptions options;
  options.tokens = 2048, options.task_share = 1, options.chinese_share = 0;
  options.mixture = {{tasks::TaskKind::kPasskey, 1.0}};
  const auto texts = [&] {
    std::string all;
    const Batch batch = rows.make(options, 1, 0, 40);
    for (int64_t i = 0; i < batch.tokens.numel(); ++i)
      all += rows.vocabulary.bytes(static_cast<model::TokenId>(batch.tokens.data_ptr<int64_t>()[i]));
    return all;
  };
  const std::string told = "There is no text to look in.";
  EXPECT_EQ(texts().find(told), std::string::npos);
  options.bare_share = 1;
  const std::string all = texts();
  // A chat of one turn in front of every sample: what is asked, and what is said.
  size_t bare = 0, answered = 0, alone = 0;
  for (size_t at = 0; (at = all.find("<|im_start|>user\n", at)) != std::string::npos; ++at) {
    const size_t end = all.find("<|endoftext|>", at);
    const std::string chat = all.substr(at, end - at);
    if (chat.find("<|im_start|>user", 1) != std::string::npos || chat.size() > 700) continue;
    const bool denied = chat.find(told) != std::string::npos;
    (denied ? bare : answered) += 1;
    const std::string asked = chat.substr(17, chat.find("<|im_end|>") - 17);  // behind "<|im_start|>user\n"
    if (!denied && asked.size() < 160 && asked.find("\n\n") == std::string::npos) ++alone;
    EXPECT_TRUE(!denied || chat.size() < 300) << chat;
  }
  EXPECT_GT(bare, 10u);
  EXPECT_GT(answered, 10u);
  EXPECT_GT(alone, 10u) << "a record and a question";
}

std::string between(const std::string& text, const std::string& open, const std::string& close) {
  const size_t begin = text.find(open);
  if (begin == std::string::npos) return {};
  return text.substr(begin + open.size(), text.find(close, begin + open.size()) - begin - open.size());
}

// The conversation that a row shows, as a client sends it: what the template is rendered with.
std::string as_messages(const std::string& written) {
  const auto text_field = [](const char* name, const std::string& text) {
    return ", \"" + std::string(name) + "\": " + tasks::quoted_json(text);
  };
  std::string rest = written, messages, tools;
  while (!rest.empty()) {
    const std::string role = between(rest, "<|im_start|>", "\n"), text = between(rest, "\n", "<|im_end|>\n");
    rest.erase(0, rest.find("<|im_end|>\n") + 11);
    std::string fields;
    if (role == "system") {
      const size_t list = text.find("Tools:\n");
      std::istringstream lines(text.substr(list + 7));
      for (std::string line; std::getline(lines, line);) tools += (tools.empty() ? "" : ", ") + line;
      if (list == 0) continue;
      fields = text_field("content", text.substr(0, list - 2));
    } else if (role == "tool") {
      fields = text_field("content", between(text, "<tool_response>", "</tool_response>"));
    } else if (const std::string call = between(text, "<tool_call>", "</tool_call>"); !call.empty()) {
      fields = ", \"content\": \"\", \"tool_calls\": [{\"function\": " + call + "}]";
    } else {
      const size_t thought = role == "assistant" ? std::string("<think></think>").size() : 0;
      fields = text_field("content", text.substr(thought));
    }
    messages += (messages.empty() ? "" : ", ") + ("{\"role\": \"" + role + '"') + fields + '}';
  }
  return "{\"messages\": [" + messages + "], \"tools\": [" + tools + "]}";
}

// Conversations with tools are what the model's template makes of the same messages.
TEST(Rows, ToolsLookAsTheTemplateWritesThem) {
  const RowsOf rows;
  const auto chat = model::ChatTemplate::compile(corpus::chat_template());
  ASSERT_TRUE(chat) << chat.error().message;
  RowOptions options;
  options.tokens = 6000, options.task_share = 1, options.tools_share = 1, options.chinese_share = 0.3;
  options.mixture = {{tasks::TaskKind::kPasskey, 1.0}};
  const Batch batch = rows.make(options, 1, 0, 12);
  int calls = 0, responses = 0, without = 0;
  for (int64_t i = 0; i < batch.tokens.size(0); ++i) {
    std::string all;
    for (int64_t t = 0; t < batch.tokens.size(1); ++t)
      all += rows.vocabulary.bytes(static_cast<model::TokenId>(batch.tokens[i][t].item<int64_t>()));
    for (size_t at = 0, end = 0; (at = all.find("<|im_start|>system\n", at)) != std::string::npos; at = end) {
      end = all.find("<|endoftext|>", at);
      if (end == std::string::npos) break;
      const std::string written = all.substr(at, end - at);
      const auto rendered = chat->render(*model::parse_json(as_messages(written)));
      ASSERT_TRUE(rendered) << rendered.error().message;
      EXPECT_EQ(*rendered, written);
      calls += written.find("<tool_call>") != std::string::npos;
      responses += written.find("<|im_start|>tool\n<tool_response>") != std::string::npos;
      without += written.find("<tool_call>") == std::string::npos;
    }
  }
  EXPECT_GT(calls, 5);
  EXPECT_EQ(responses, calls);
  EXPECT_GT(without, 1);
  // What marks a call is learned.
  const model::TokenId mark = *rows.vocabulary.special("<tool_call>");
  EXPECT_GT(((batch.targets == mark) & (batch.weights == 1)).sum().item<int64_t>(), 5);
}

}  // namespace
}  // namespace mneme::train
