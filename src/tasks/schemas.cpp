#include "tasks/schemas.h"

namespace mneme::tasks {

using enum FieldType;

namespace {

const std::vector<Schema>& english(Split split) {
  static const std::vector<Schema> train = {
      {"person",
       {{"a", {"name", "full_name", "person"}, kPerson},
        {"b", {"age", "years"}, kAge},
        {"c", {"city", "town"}, kCity},
        {"d", {"employer", "company"}, kName}},
       {"{a}, {b} years old, lives in {c} and works for {d}.", "{a} of {c} is {b} and is employed by {d}.",
        "At {d} we met {a}, who comes from {c} and is {b} years of age."}},
      {"order",
       {{"a", {"customer", "buyer"}, kPerson},
        {"b", {"product", "item"}, kProduct},
        {"c", {"quantity", "count"}, kCount},
        {"d", {"price", "total"}, kAmount}},
       {"{a} ordered {c} units of the {b} for {d} dollars.",
        "For {d} dollars, {a} received {c} pieces of the {b}.",
        "The {b} was sold {c} times to {a}, which came to {d} dollars."}},
      {"meeting",
       {{"a", {"topic", "subject"}, kName},
        {"b", {"date", "day"}, kDate},
        {"c", {"room", "place"}, kCode},
        {"d", {"host", "chair"}, kPerson}},
       {"The meeting about {a} is on {b} in room {c}, chaired by {d}.",
        "On {b}, {d} invites to room {c} to discuss {a}.", "{d} will talk about {a} in room {c} on {b}."}},
      {"invoice",
       {{"a", {"invoice", "number", "id"}, kCode},
        {"b", {"amount", "sum"}, kAmount},
        {"c", {"due", "due_date"}, kDate},
        {"d", {"debtor", "client"}, kPerson}},
       {"Invoice {a} over {b} euros, due on {c}, went to {d}.",
        "{d} has to pay {b} euros for invoice {a} by {c}.",
        "By {c} the {b} euros of invoice {a} are expected from {d}."}},
      {"book",
       {{"a", {"title", "book"}, kName},
        {"b", {"author", "writer"}, kPerson},
        {"c", {"year", "published"}, kYear},
        {"d", {"pages", "page_count"}, kCount}},
       {"\"{a}\" by {b} came out in {c} and has {d} pages.",
        "In {c}, {b} published \"{a}\", a book of {d} pages.",
        "The {d} pages of \"{a}\" were written by {b} in {c}."}},
  };
  static const std::vector<Schema> held_out = {
      {"flight",
       {{"a", {"flight_code", "flight"}, kCode},
        {"b", {"origin", "from_city"}, kCity},
        {"c", {"departure", "leaves_on"}, kDate},
        {"d", {"passengers", "seats"}, kCount}},
       {"Flight {a} leaves {b} on {c} with {d} passengers.",
        "With {d} people on board, {a} takes off from {b} on {c}."}},
      {"patient",
       {{"a", {"patient", "patient_name"}, kPerson},
        {"b", {"ward", "station"}, kCode},
        {"c", {"admitted", "admission"}, kDate},
        {"d", {"pulse", "heart_rate"}, kCount}},
       {"{a} came to ward {b} on {c} with a pulse of {d}.", "On {c} ward {b} admitted {a}, pulse {d}."}},
      {"car",
       {{"a", {"plate", "licence"}, kCode},
        {"b", {"colour", "paint"}, kColour},
        {"c", {"owner", "holder"}, kPerson},
        {"d", {"mileage", "distance"}, kAmount}},
       {"The {b} car {a} of {c} has run {d} kilometres.", "{c} owns {a}, a {b} car with {d} kilometres."}},
  };
  return split == Split::kTrain ? train : held_out;
}

const std::vector<Schema>& chinese(Split split) {
  static const std::vector<Schema> train = {
      {"person",
       {{"a", {"姓名", "name", "人物"}, kPerson},
        {"b", {"年龄", "age"}, kAge},
        {"c", {"城市", "city"}, kCity},
        {"d", {"公司", "company"}, kName}},
       {"{a}今年{b}岁，住在{c}，在{d}公司工作。", "来自{c}的{a}现年{b}岁，就职于{d}公司。",
        "在{d}公司我们见到了{a}，他是{c}人，{b}岁。"}},
      {"order",
       {{"a", {"客户", "customer"}, kPerson},
        {"b", {"商品", "product"}, kProduct},
        {"c", {"数量", "quantity"}, kCount},
        {"d", {"价格", "price"}, kAmount}},
       {"{a}订购了{c}件{b}，共{d}元。", "{a}花{d}元买下{c}件{b}。", "{b}卖给{a}{c}件，收款{d}元。"}},
      {"meeting",
       {{"a", {"主题", "topic"}, kName},
        {"b", {"日期", "date"}, kDate},
        {"c", {"房间", "room"}, kCode},
        {"d", {"主持人", "host"}, kPerson}},
       {"关于{a}的会议定于{b}在{c}房间举行，由{d}主持。", "{d}将于{b}在{c}房间讨论{a}。",
        "{b}，{d}邀请大家到{c}房间讨论{a}。"}},
      {"invoice",
       {{"a", {"发票号", "invoice"}, kCode},
        {"b", {"金额", "amount"}, kAmount},
        {"c", {"到期日", "due"}, kDate},
        {"d", {"付款人", "client"}, kPerson}},
       {"发票{a}金额{b}元，{c}到期，寄给{d}。", "{d}须在{c}前为发票{a}支付{b}元。",
        "发票{a}的{b}元应由{d}在{c}付清。"}},
      {"book",
       {{"a", {"书名", "title"}, kName},
        {"b", {"作者", "author"}, kPerson},
        {"c", {"年份", "year"}, kYear},
        {"d", {"页数", "pages"}, kCount}},
       {"《{a}》由{b}所著，{c}年出版，共{d}页。", "{c}年，{b}出版了{d}页的《{a}》。",
        "{b}写的《{a}》有{d}页，出版于{c}年。"}},
  };
  static const std::vector<Schema> held_out = {
      {"flight",
       {{"a", {"航班", "航班号"}, kCode},
        {"b", {"出发地", "始发城市"}, kCity},
        {"c", {"起飞日", "出发日期"}, kDate},
        {"d", {"乘客数", "座位"}, kCount}},
       {"航班{a}于{c}从{b}起飞，载客{d}人。", "{c}，{d}名乘客乘{a}离开{b}。"}},
      {"patient",
       {{"a", {"病人", "患者"}, kPerson},
        {"b", {"病区", "病房"}, kCode},
        {"c", {"入院日", "入院"}, kDate},
        {"d", {"脉搏", "心率"}, kCount}},
       {"{a}于{c}入住{b}病区，脉搏{d}。", "{b}病区在{c}收治了{a}，脉搏为{d}。"}},
      {"car",
       {{"a", {"车牌", "牌照"}, kCode},
        {"b", {"车色", "颜色"}, kColour},
        {"c", {"车主", "持有人"}, kPerson},
        {"d", {"里程", "公里数"}, kAmount}},
       {"{c}的{b}汽车{a}已行驶{d}公里。", "车牌{a}的{b}汽车属于{c}，跑了{d}公里。"}},
  };
  return split == Split::kTrain ? train : held_out;
}

constexpr ToolParameter kParameters[] = {
    {"city", "string", kCity, "the city", "城市"},
    {"date", "string", kDate, "the date", "日期"},
    {"count", "integer", kCount, "the count", "数量"},
    {"limit", "integer", kCount, "the limit", "上限"},
    {"person", "string", kPerson, "the person", "人员"},
    {"product", "string", kProduct, "the product", "产品"},
    {"color", "string", kColour, "the colour", "颜色"},
    {"urgent", "boolean", kFlag, "the urgent flag", "加急标志"},
    {"amount", "integer", kAmount, "the amount", "金额"},
    {"code", "string", kCode, "the code", "代码"},
    {"public", "boolean", kFlag, "the public flag", "公开标志"},
};
constexpr ToolParameter kParametersHeldOut[] = {
    {"destination", "string", kCity, "the destination", "目的地"},
    {"deadline", "string", kDate, "the deadline", "截止时间"},
    {"retries", "integer", kCount, "the number of retries", "重试次数"},
    {"recipient", "string", kPerson, "the recipient", "收件人"},
    {"verbose", "boolean", kFlag, "the verbose switch", "详细输出开关"},
    {"case_id", "string", kCode, "the case id", "工单号"},
    {"budget", "integer", kAmount, "the budget", "预算"},
};

constexpr ToolWord kVerbs[] = {
    {"get", "get", "获取"},       {"find", "find", "查找"},     {"create", "create", "新建"},
    {"delete", "delete", "删除"}, {"update", "update", "更新"}, {"send", "send", "发送"},
    {"book", "book", "预订"},     {"list", "list", "列出"},     {"open", "open", "打开"},
    {"close", "close", "关闭"},   {"print", "print", "打印"},   {"check", "check", "检查"}};
constexpr ToolWord kVerbsHeldOut[] = {{"archive", "archive", "归档"},
                                      {"schedule", "schedule", "安排"},
                                      {"translate", "translate", "翻译"},
                                      {"cancel", "cancel", "取消"},
                                      {"rename", "rename", "重命名"}};
constexpr ToolWord kObjects[] = {
    {"weather", "the weather", "天气"}, {"flight", "a flight", "航班"},     {"order", "an order", "订单"},
    {"invoice", "an invoice", "发票"},  {"message", "a message", "消息"},   {"file", "a file", "文件"},
    {"user", "a user", "用户"},         {"room", "a room", "房间"},         {"report", "a report", "报告"},
    {"ticket", "a ticket", "门票"},     {"calendar", "a calendar", "日历"}, {"task", "a task", "任务"},
    {"photo", "a photo", "照片"},       {"payment", "a payment", "付款"},   {"device", "a device", "设备"}};
constexpr ToolWord kObjectsHeldOut[] = {
    {"contract", "a contract", "合同"}, {"playlist", "a playlist", "歌单"}, {"parcel", "a parcel", "包裹"},
    {"recipe", "a recipe", "菜谱"},     {"backup", "a backup", "备份"},     {"survey", "a survey", "问卷"}};

}  // namespace

std::span<const Schema> schemas(Language language, Split split) {
  return language == Language::kEnglish ? english(split) : chinese(split);
}

std::span<const ToolParameter> tool_parameters(Split split) {
  if (split == Split::kTrain) return kParameters;
  return kParametersHeldOut;
}
std::span<const ToolWord> tool_verbs(Split split) {
  if (split == Split::kTrain) return kVerbs;
  return kVerbsHeldOut;
}
std::span<const ToolWord> tool_objects(Split split) {
  if (split == Split::kTrain) return kObjects;
  return kObjectsHeldOut;
}

}  // namespace mneme::tasks
