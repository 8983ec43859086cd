#include "tasks/words.h"

namespace mneme::tasks {
namespace {

constexpr std::string_view kNouns =
    "山脉 河流 森林 草原 海洋 沙漠 湖泊 岛屿 峡谷 火山 城堡 桥梁 灯塔 花园 港口 村庄 广场 寺庙 宫殿 博物馆 "
    "图书馆 医院 学校 工厂 "
    "车站 机场 码头 仓库 剧院 公园 苹果 香蕉 葡萄 西瓜 桃子 柠檬 樱桃 草莓 橙子 石榴 老虎 狮子 大象 猴子 "
    "熊猫 狐狸 兔子 松鼠 孔雀 "
    "鹦鹉 蝴蝶 蜻蜓 蚂蚁 蜜蜂 鲸鱼 海豚 乌龟 青蛙 骆驼 骏马 钢琴 吉他 小提琴 笛子 鼓手 画家 诗人 歌手 医生 "
    "教师 律师 工程师 农民 "
    "渔夫 船长 士兵 国王 公主 骑士 商人 雨伞 手表 眼镜 帽子 围巾 手套 皮鞋 外套 书包 钥匙 铅笔 毛笔 墨水 "
    "纸张 信封 邮票 地图 词典 "
    "日记 相册 蜡烛 灯笼 镜子 梳子 剪刀 锤子 螺丝 梯子 绳子 篮子 茶壶 杯子 盘子 筷子 勺子 菜刀 锅炉 烤箱 "
    "冰箱 电视 电脑 手机 相机 "
    "火箭 卫星 飞船 轮船 火车 汽车 自行车 摩托车 帆船 潜艇 太阳 月亮 星星 云彩 雷电 雪花 雨滴 彩虹 微风 晨雾 "
    "春天 夏天 秋天 冬天 "
    "黎明 黄昏 午夜 清晨 节日 婚礼 木头 石头 钢铁 黄金 白银 珍珠 玉石 琥珀 水晶 丝绸 棉花 羊毛 陶瓷 玻璃 "
    "橡皮 小麦 水稻 玉米 大豆 "
    "花生 茶叶 咖啡 牛奶 蜂蜜 面包 松树 柳树 竹子 荷花 牡丹 梅花 菊花 兰花 玫瑰 桂花";
constexpr std::string_view kNounsHeldOut =
    "瀑布 冰川 盆地 丘陵 沼泽 珊瑚 驼鸟 企鹅 海豹 刺猬 蜥蜴 鳄鱼 犀牛 羚羊 斑马 麒麟 凤凰 白鹤 鸳鸯 燕子 "
    "算盘 砚台 屏风 古筝 琵琶 "
    "二胡 风筝 陀螺 象棋 围棋 罗盘 望远镜 显微镜 风车 水车 磨坊 驿站 牌坊 宝塔 石窟 芒果 荔枝 龙眼 椰子 榴莲 "
    "枇杷 杨梅 核桃 栗子 "
    "银杏 飞镖 盔甲 长矛 弓箭 马鞍 车轮 船桨 渔网 锚链 舵手 裁缝 铁匠 木匠 厨师 侦探 法官 翻译 导游 演员 "
    "导演 翡翠 玛瑙 珐琅 锦缎 "
    "蓝莓 海棠";
constexpr std::string_view kAdjectives =
    "红色 蓝色 绿色 黄色 白色 黑色 紫色 灰色 金色 银色 古老 年轻 高大 矮小 宽阔 狭窄 明亮 黑暗 温暖 寒冷 "
    "安静 热闹 美丽 神秘 遥远 "
    "勇敢 聪明 善良 快乐 忧伤 忙碌 悠闲 干净 整齐 破旧 崭新 柔软 坚硬 沉重 轻盈 甜美 苦涩 清新 浓郁 稀有 "
    "普通 巨大 微小 深邃 平坦 "
    "东方 西方 南方 北方 初级 高级 早期 晚期 公共 私人";
constexpr std::string_view kAdjectivesHeldOut =
    "粉色 褐色 青色 透明 圆形 方形 狡猾 谨慎 顽皮 沉默 陡峭 曲折 潮湿 干燥 锋利 迟钝 罕见 繁华 荒凉 朴素 "
    "华丽 灵巧 笨拙 敏捷 缓慢 "
    "雄伟 精致 粗糙 隐秘 空旷";
constexpr std::string_view kGivenNames =
    "伟 芳 娜 敏 静 丽 强 磊 军 洋 勇 艳 杰 娟 涛 明 超 秀英 志强 建国 晓东 海燕 文博 子涵 雨桐 佳怡 俊杰 "
    "天宇 思远 欣然 国栋 春梅 "
    "玉兰 立新 永康 家豪 梦琪 嘉诚 晓峰 一鸣";
constexpr std::string_view kGivenNamesHeldOut =
    "鹏 霞 琳 浩然 诗涵 宇轩 若曦 承志 雅婷 世杰 慧敏 振华 秋月 凯旋 书瑶 亦凡 泽民 紫薇";
constexpr std::string_view kSurnames =
    "王 李 张 刘 陈 杨 赵 黄 周 吴 徐 孙 胡 朱 高 林 何 郭 马 罗 梁 宋 郑 谢 韩 唐 冯 于 董 萧";
constexpr std::string_view kSurnamesHeldOut = "程 曹 袁 邓 许 傅 沈 曾 彭 吕 苏 卢 欧阳 司马";
constexpr std::string_view kCities =
    "北京 上海 广州 深圳 杭州 南京 苏州 武汉 成都 重庆 西安 天津 青岛 大连 厦门 长沙 郑州 济南 福州 合肥 "
    "昆明 贵阳 南宁 哈尔滨 长春 "
    "沈阳 太原 石家庄 兰州 银川";
constexpr std::string_view kCitiesHeldOut =
    "拉萨 西宁 海口 三亚 桂林 洛阳 扬州 无锡 宁波 温州 珠海 佛山 烟台 威海 大理 丽江";
constexpr std::string_view kProducts =
    "笔记本电脑 打印机 键盘 显示器 书桌 椅子 台灯 照相机 平板电脑 路由器 充电线 电池 音箱 背包 水杯 夹克 "
    "头盔 帐篷 炉子 搅拌机 烤面包机 "
    "热水壶 取暖器 风扇 闹钟 扫描仪 投影仪 麦克风";
constexpr std::string_view kProductsHeldOut =
    "无人机 耳机 摄像头 充电器 唱片机 天文镜 洗碗机 吸尘器 温控器 三脚架 游戏手柄 功放 冷柜 跑步机 沙发";

}  // namespace

std::string_view words_written_chinese(WordClass word_class, Split split) {
  const bool train = split == Split::kTrain;
  switch (word_class) {
    case WordClass::kNoun: return train ? kNouns : kNounsHeldOut;
    case WordClass::kAdjective: return train ? kAdjectives : kAdjectivesHeldOut;
    case WordClass::kGivenName: return train ? kGivenNames : kGivenNamesHeldOut;
    case WordClass::kSurname: return train ? kSurnames : kSurnamesHeldOut;
    case WordClass::kCity: return train ? kCities : kCitiesHeldOut;
    case WordClass::kProduct: return train ? kProducts : kProductsHeldOut;
  }
  return {};
}

}  // namespace mneme::tasks
