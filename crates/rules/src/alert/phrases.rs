//! The phrases that reasons are made of, in each language.
//!
//! Where a phrase has places, `{0}` and so on stand for them; languages differ in their order. Numbers stand so that no
//! word around them has to change with them, but in English.

use crate::texts::Lang;

/// A phrase.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phrase {
    en: &'static str,
    ru: &'static str,
    zh: &'static str,
}

impl Phrase {
    /// The phrase in a language, with the values at their places.
    pub(crate) fn tell(self, lang: Lang, values: &[&str]) -> String {
        let mut out = String::new();
        let mut rest = self.word(lang);
        while let Some((before, behind)) = rest.split_once('{') {
            out.push_str(before);
            let (place, behind) = behind.split_once('}').unwrap_or((behind, ""));
            let value = place.parse::<usize>().ok().and_then(|place| values.get(place));
            out.push_str(value.copied().unwrap_or_default());
            rest = behind;
        }
        out.push_str(rest);
        out
    }

    /// The phrase as it stands.
    pub(crate) fn word(self, lang: Lang) -> &'static str {
        match lang {
            Lang::English => self.en,
            Lang::Russian => self.ru,
            Lang::Chinese => self.zh,
        }
    }
}

macro_rules! phrases {
    ($($name:ident: $en:literal, $ru:literal, $zh:literal;)*) => {
        $(pub(crate) const $name: Phrase = Phrase { en: $en, ru: $ru, zh: $zh };)*

        #[cfg(test)]
        const ALL: &[Phrase] = &[$($name),*];
    };
}

phrases! {
    NOT_BEFORE: "without what should come before", "без того, что должно было произойти раньше", "之前应发生的事件没有发生";
    NOT_BEHIND: "and what should follow did not happen", "а того, что должно было последовать, не произошло", "而随后应发生的事件没有发生";
    THEN: "then ", "затем ", "然后";
    SAME_TIME: "at the same time ", "одновременно ", "同时";
    MILLIS_LATER: "{0} ms later ", "через {0} мс ", "{0} 毫秒后";
    SECONDS_LATER: "{0} s later ", "через {0} с ", "{0} 秒后";
    MINUTES_LATER: "{0} min later ", "через {0} мин ", "{0} 分钟后";
    HOURS_LATER: "{0} h later ", "через {0} ч ", "{0} 小时后";

    LOOKED_UP: "{0} looked up {1}", "{0} запросил имя {1} в DNS", "{0} 查询了域名 {1}";
    REGISTRY_CHANGED: "{0} changed the registry at {1}", "{0} изменил реестр: {1}", "{0} 修改了注册表 {1}";
    LOADED: "{0} loaded {1}", "{0} загрузил {1}", "{0} 加载了 {1}";
    RENAMED: "{0} renamed a file to {1}", "{0} переименовал файл в {1}", "{0} 将文件重命名为 {1}";
    OPENED: "{0} opened {1}", "{0} открыл {1}", "{0} 打开了 {1}";
    CHANGED: "{0} changed {1}", "{0} изменил {1}", "{0} 修改了 {1}";
    CREATED: "{0} created {1}", "{0} создал {1}", "{0} 创建了 {1}";
    DELETED: "{0} deleted {1}", "{0} удалил {1}", "{0} 删除了 {1}";
    ACCESSED: "{0} accessed {1}", "{0} обратился к {1}", "{0} 访问了 {1}";
    SOMETHING: "something", "неизвестный объект", "某个对象";

    A_PROCESS: "a process", "процесс", "一个进程";
    STARTED_BY: "{0} started {1}", "{0} запустил {1}", "{0} 启动了 {1}";
    WAS_STARTED: "{0} was started", "запущен {0}", "{0} 被启动";
    AS_COMMAND: " as {0}", " командой {0}", "，命令行 {0}";
    FROM_PARENT: " from {0}", " из процесса {0}", "，父进程 {0}";

    TRIED_TO_CONNECT: "{0} tried to connect to {1}", "{0} попытался подключиться к {1}", "{0} 尝试连接 {1}";
    ACCEPTED: "{0} accepted a connection from {1}", "{0} принял подключение от {1}", "{0} 接受了来自 {1} 的连接";
    ENDED: "{0} ended a connection to {1}", "{0} завершил подключение к {1}", "{0} 结束了与 {1} 的连接";
    WAS_DENIED: "{0} was denied a connection to {1}", "{0} получил отказ в подключении к {1}", "{0} 连接 {1} 被拒绝";
    CONNECTED: "{0} connected to {1}", "{0} подключился к {1}", "{0} 连接了 {1}";
    AN_ADDRESS: "an address", "неизвестный адрес", "未知地址";

    LOGIN_FAILED: "{0} failed to log in", "{0} не смог войти", "{0} 登录失败";
    LOGGED_IN: "{0} logged in", "{0} вошёл", "{0} 登录成功";
    TRIED_TO_LOG_IN: "{0} tried to log in", "{0} попытался войти", "{0} 尝试登录";
    SOMEBODY: "somebody", "неизвестный пользователь", "未知用户";
    OF_USER: "{0} of {1}", "{0} (пользователь {1})", "{1} 的 {0}";

    REQUESTED: "{0} requested {1}{2}", "{0} запросил {1}{2}", "{0} 请求了 {1}{2}";
    ANSWERED: ", answered {0}", ", ответ {0}", "，响应 {0}";
    DID: "{0} did {1}", "{0} выполнил {1}", "{0} 执行了 {1}";
    DID_IN: "{0} did {1} ({2})", "{0} выполнил {1} ({2})", "{0} 执行了 {1}（{2}）";
    AN_EVENT_OF: "an event of {0}", "событие {0}", "{0} 的事件";
    AN_EVENT_OF_CATEGORY: "an event of the category {0}", "событие категории {0}", "类别为 {0} 的事件";
    AN_EVENT: "an event", "событие", "一个事件";
    WITHOUT_SUCCESS: " without success", " безуспешно", "，未成功";
    FROM_ADDRESS: " from {0}", " с адреса {0}", "，来源 {0}";

    IN_CONTAINER: " in container {0}", " в контейнере {0}", " 容器 {0}";
    ON_HOST: " on {0}", " на узле {0}", " 主机 {0}";
    IN_CLUSTER: " in cluster {0}", " в кластере {0}", " 集群 {0}";
    IN_ACCOUNT: " in account {0}", " в учётной записи {0}", " 账户 {0}";

    FIRST_TIME: "{0}; for the first time in {1}: {2}", "{0}; впервые за {1}: {2}", "{0}；{1}内首次出现：{2}";
    COUNTED: "{0}{1}{2} within {3}; the first: {4}", "{0}{1}{2} за {3}; первое: {4}", "{3}内{0}{1}{2}；第一个：{4}";
    COUNTED_MATCHES: "{0}{1}{2} within {3}: {4}; the first: {5}", "{0}{1}{2} за {3}: {4}; первое: {5}", "{3}内{0}{1}{2}：{4}；第一个：{5}";
    TOGETHER: "{0}{1} within {2}: {3}", "{0}{1} за {2}: {3}", "{2}内{0}{1}：{3}";
    ONE_EVENT: "{0} event", "событий: {0}", "{0} 个事件";
    EVENTS: "{0} events", "событий: {0}", "{0} 个事件";
    ONE_MATCH: "{0} match", "срабатываний: {0}", "{0} 次匹配";
    MATCHES: "{0} matches", "срабатываний: {0}", "{0} 次匹配";
    ONE_VALUE: " and {0}{1} value of {2}", ", разных значений {2}: {0}{1}", "，{2} 有 {0}{1} 个不同值";
    VALUES: " and {0}{1} values of {2}", ", разных значений {2}: {0}{1}", "，{2} 有 {0}{1} 个不同值";
    MORE_THAN: "more than ", "более ", "超过 ";
    SUM: " and {0} as the sum of {1}", ", сумма {1}: {0}", "，{1} 之和为 {0}";
    AVERAGE: " and {0} as the average of {1}", ", среднее {1}: {0}", "，{1} 平均值为 {0}";
    PERCENTILE: " and {0} as the {2}th percentile of {1}", ", процентиль {2} поля {1}: {0}", "，{1} 的第 {2} 百分位数为 {0}";
    AND: " and ", " и ", " 和 ";
    WITH: " with {0}", ", где {0}", "（{0}）";
    DAYS: "{0} days", "{0} сут", "{0} 天";
    HOURS: "{0} h", "{0} ч", "{0} 小时";
    MINUTES: "{0} min", "{0} мин", "{0} 分钟";
    SECONDS: "{0} s", "{0} с", "{0} 秒";

    GROUPED: "{0} of `{1}` in one run, beyond its {2} single alerts; the first: {3}",
        "{0} правила `{1}` за один запуск сверх одиночных оповещений ({2}); первое: {3}",
        "规则 `{1}` 单次运行{0}，超出可单独告警的 {2} 条；第一个：{3}";
    ONE_MORE: "{0} more match", "ещё срабатываний: {0}", "另有 {0} 次匹配";
    MORE: "{0} more matches", "ещё срабатываний: {0}", "另有 {0} 次匹配";
}

#[cfg(test)]
mod tests {
    use super::{ALL, CONNECTED};
    use crate::texts::Lang;

    #[test]
    fn every_language_has_the_same_places() {
        let places = |text: &str| {
            let mut found: Vec<&str> = text
                .split('{')
                .skip(1)
                .filter_map(|part| part.split('}').next())
                .collect();
            found.sort_unstable();
            found.join(",")
        };
        for phrase in ALL {
            for lang in Lang::ALL {
                assert_eq!(places(phrase.word(lang)), places(phrase.en), "{phrase:?}");
            }
        }
    }

    #[test]
    fn values_are_not_read_as_places() {
        let told = CONNECTED.tell(Lang::Russian, &["`{1}`", "`{`"]);
        assert_eq!(told, "`{1}` подключился к `{`");
    }
}
